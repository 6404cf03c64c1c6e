# Two GETs with Perl's LWP, as an ordinary app makes them: clients.pl URL URL.
use strict;
use warnings;
use LWP::UserAgent;

my $agent = LWP::UserAgent->new(env_proxy => 1, keep_alive => 1);
print $agent->get($_)->code, "\n" for @ARGV;
