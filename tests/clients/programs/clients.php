<?php
// Two GETs with one of PHP's clients, as an ordinary app makes them: clients.php NAME URL URL. Under
// PHP-FPM they come in the query.

function with_streams(array $urls, array $http): void
{
    foreach ($urls as $url) {
        $body = file_get_contents($url, false, stream_context_create(['http' => $http]));
        echo $body === false ? "failed\n" : substr($http_response_header[0], 9, 3) . "\n";
    }
}

function with_curl(array $urls): void
{
    $curl = curl_init();
    curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
    foreach ($urls as $url) {
        curl_setopt($curl, CURLOPT_URL, $url);
        curl_exec($curl);
        echo curl_getinfo($curl, CURLINFO_RESPONSE_CODE) . "\n";
    }
}

[$name, $urls] = PHP_SAPI === 'cli' ? [$argv[1], array_slice($argv, 2)] : ['curl', [$_GET['url']]];
$proxy = str_replace('http://', 'tcp://', (string) getenv('http_proxy'));
match ($name) {
    'streams' => with_streams($urls, ['proxy' => $proxy, 'request_fulluri' => true]),
    'streams-as-they-are' => with_streams($urls, []),
    'curl' => with_curl($urls),
};
