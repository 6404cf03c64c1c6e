# Ruby's Net::HTTP over one connection, as an ordinary app uses it: two GETs (clients.rb URL URL), or
# everything that test_exercises.py asks for (clients.rb exercise BASE_URL REFUSING_URL), told in a
# line of JSON. Net::HTTP follows no redirects: those are open-uri's.
require 'digest'
require 'json'
require 'net/http'
require 'open-uri'

def told(status, body)
  [status.to_i, body.bytesize, Digest::SHA256.hexdigest(body)]
end

def ask(http, request)
  answer = http.request(request)
  told(answer.code, answer.body)
end

def upload(http)
  request = Net::HTTP::Put.new('/upload', 'Content-Type' => 'application/octet-stream')
  request.body = File.binread('upload.bin')
  ask(http, request)
end

def upload_chunked(http)
  request = Net::HTTP::Post.new('/chunked', 'Content-Type' => 'application/octet-stream', 'Transfer-Encoding' => 'chunked')
  File.open('upload.bin', 'rb') { |file| request.body_stream = file; ask(http, request) }
end

def follow(url)
  URI(url).open { |answer| told(answer.status[0], answer.read) }
end

def exercise(base, refusing)
  answers = {}
  Net::HTTP.start(URI(base).host, URI(base).port) do |http|
    answers = { upload: upload(http), chunked: upload_chunked(http) }
    %w[download missing unavailable].each { |path| answers[path] = ask(http, Net::HTTP::Get.new("/#{path}")) }
  end
  %w[moved relative].each { |path| answers[path] = follow("#{base}/#{path}") }
  refused = Net::HTTP.get_response(URI(refusing))
  puts JSON.generate(answers.merge(refused: told(refused.code, refused.body)))
end

def get(urls)
  first = URI(urls.first)
  Net::HTTP.start(first.host, first.port) do |http|
    urls.each { |url| puts http.get(URI(url).request_uri).code }
  end
end

ARGV.first == 'exercise' ? exercise(*ARGV.drop(1)) : get(ARGV)
