<?php
// One of PHP's clients, as an ordinary app uses it: two GETs (clients.php NAME URL URL; under PHP-FPM
// they come in the query), or everything that test_exercises.py asks for (clients.php NAME exercise
// BASE_URL REFUSING_URL), told in a line of JSON.

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

// Exercises: each asks with a body as a string, from the file (chunked) or with none; [status, body]
// comes back.

function ask_streams(string $method, string $url, ?string $body, array $http): array
{
    $http += ['method' => $method, 'ignore_errors' => true];
    if ($body !== null) {
        $http += ['content' => $body, 'header' => 'Content-Type: application/octet-stream'];
    }
    $answer = file_get_contents($url, false, stream_context_create(['http' => $http]));
    $lines = preg_grep('#^HTTP/#', $http_response_header);
    return [(int) substr(end($lines), 9, 3), $answer];
}

function ask_curl(CurlHandle $curl, string $method, string $url, ?string $body, bool $chunked = false): array
{
    curl_reset($curl);
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_FOLLOWLOCATION => true, CURLOPT_URL => $url,
                              CURLOPT_CUSTOMREQUEST => $method]);
    if ($chunked) {
        $file = fopen('upload.bin', 'rb');
        curl_setopt_array($curl, [CURLOPT_UPLOAD => true, CURLOPT_READFUNCTION => fn($c, $f, $size) => fread($file, $size)]);
    } elseif ($body !== null) {
        curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
        curl_setopt($curl, CURLOPT_HTTPHEADER, ['Content-Type: application/octet-stream']);
    }
    $answer = curl_exec($curl);
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $answer];
}

function exercise(callable $ask, ?callable $ask_chunked, string $base, string $refusing): void
{
    $answers = ['upload' => $ask('PUT', "$base/upload", file_get_contents('upload.bin'))];
    if ($ask_chunked) {
        $answers['chunked'] = $ask_chunked("$base/chunked");
    }
    foreach (['download', 'moved', 'relative', 'missing', 'unavailable'] as $path) {
        $answers[$path] = $ask('GET', "$base/$path", null);
    }
    $answers['refused'] = $ask('GET', $refusing, null);
    echo json_encode(array_map(fn($a) => [$a[0], strlen($a[1]), hash('sha256', $a[1])], $answers)) . "\n";
}

function exercise_client(string $name, array $http, string $base, string $refusing): void
{
    $curl = curl_init();
    match ($name) {
        'streams' => exercise(fn(...$asked) => ask_streams(...[...$asked, $http]), null, $base, $refusing),
        'curl' => exercise(fn(...$asked) => ask_curl($curl, ...$asked),
                           fn($url) => ask_curl($curl, 'POST', $url, null, true), $base, $refusing),
    };
}

[$name, $urls] = PHP_SAPI === 'cli' ? [$argv[1], array_slice($argv, 2)] : ['curl', [$_GET['url']]];
$proxy = str_replace('http://', 'tcp://', (string) getenv('http_proxy'));
$http = ['proxy' => $proxy, 'request_fulluri' => true];
if ($urls[0] === 'exercise') {
    exercise_client($name, $http, $urls[1], $urls[2]);
    exit;
}
match ($name) {
    'streams' => with_streams($urls, $http),
    'streams-as-they-are' => with_streams($urls, []),
    'curl' => with_curl($urls),
};
