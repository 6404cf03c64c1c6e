# Perl's LWP, as an ordinary app uses it: two GETs (clients.pl URL URL), or everything that
# test_exercises.py asks for (clients.pl exercise BASE_URL REFUSING_URL), told in a line of JSON.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use HTTP::Request;
use JSON::PP;
use LWP::UserAgent;

my $agent = LWP::UserAgent->new(env_proxy => 1, keep_alive => 1);

sub ask {
    my ($method, $url, $body) = @_;
    my $answer = $agent->request(HTTP::Request->new($method, $url, [], $body));
    return [0 + $answer->code, length $answer->content, sha256_hex($answer->content)];
}

# A sub as the content has no length: it goes chunked.
sub upload_chunked {
    my ($url) = @_;
    open my $file, '<:raw', 'upload.bin' or die $!;
    return ask('POST', $url, sub { read $file, my $piece, 10_000; $piece });
}

sub exercise {
    my ($base, $refusing) = @_;
    my $body = do { local $/; open my $file, '<:raw', 'upload.bin' or die $!; <$file> };
    my %answers = (upload => ask('PUT', "$base/upload", $body), chunked => upload_chunked("$base/chunked"));
    $answers{$_} = ask('GET', "$base/$_") for qw(download moved relative missing unavailable);
    $answers{refused} = ask('GET', $refusing);
    print encode_json(\%answers), "\n";
}

if ($ARGV[0] eq 'exercise') {
    exercise(@ARGV[1, 2]);
} else {
    print $agent->get($_)->code, "\n" for @ARGV;
}
