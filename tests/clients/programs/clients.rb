# Two GETs with Ruby's Net::HTTP over one connection, as an ordinary app makes them: clients.rb URL URL.
require 'net/http'

first = URI(ARGV.first)
Net::HTTP.start(first.host, first.port) do |http|
  ARGV.each { |url| puts http.get(URI(url).request_uri).code }
end
