// One of Java's clients, as an ordinary app uses it: two GETs (Clients.java NAME URL URL), or everything
// that test_exercises.py asks for (Clients.java NAME exercise BASE_URL REFUSING_URL), told in a line of
// JSON. The proxy comes by -Dhttp.proxyHost and -Dhttp.proxyPort.

import java.io.FileInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.StringJoiner;

public class Clients {
  static void withHttpClient(List<String> urls) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (String url : urls) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
      System.out.println(client.send(request, BodyHandlers.ofString()).statusCode());
    }
  }

  static void withUrlConnection(List<String> urls) throws Exception {
    for (String url : urls) {
      HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
      System.out.println(connection.getResponseCode());
      connection.getInputStream().readAllBytes();
    }
  }

  static final Path UPLOAD = Path.of("upload.bin");

  // How a request carries UPLOAD.
  enum Body { NONE, WHOLE, CHUNKED }

  // Asks; gives what to tell of the answer.
  interface Asking {
    String ask(String method, String url, Body body) throws Exception;
  }

  static String told(int status, byte[] body) throws Exception {
    String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body));
    return String.format("[%d, %d, \"%s\"]", status, body.length, hash);
  }

  static BodyPublisher publisher(Body body) throws Exception {
    return switch (body) {
      case NONE -> BodyPublishers.noBody();
      case WHOLE -> BodyPublishers.ofFile(UPLOAD);
      case CHUNKED -> BodyPublishers.ofInputStream(() -> open(UPLOAD));
    };
  }

  static InputStream open(Path path) {
    try {
      return new FileInputStream(path.toFile());
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  static Asking httpClient() {
    HttpClient client = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build();
    return (method, url, body) -> {
      HttpRequest request = HttpRequest.newBuilder(URI.create(url)).method(method, publisher(body)).build();
      HttpResponse<byte[]> answer = client.send(request, BodyHandlers.ofByteArray());
      return told(answer.statusCode(), answer.body());
    };
  }

  static String askUrlConnection(String method, String url, Body body) throws Exception {
    HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
    connection.setRequestMethod(method);
    connection.setDoOutput(body != Body.NONE);
    if (body == Body.CHUNKED) connection.setChunkedStreamingMode(10_000);
    if (body != Body.NONE) {
      try (OutputStream out = connection.getOutputStream()) {
        Files.copy(UPLOAD, out);
      }
    }
    int status = connection.getResponseCode();
    InputStream answer = status < 400 ? connection.getInputStream() : connection.getErrorStream();
    return told(status, answer.readAllBytes());
  }

  static void exercise(Asking client, String base, String refusing) throws Exception {
    StringJoiner line = new StringJoiner(", ", "{", "}");
    line.add("\"upload\": " + client.ask("PUT", base + "/upload", Body.WHOLE));
    line.add("\"chunked\": " + client.ask("POST", base + "/chunked", Body.CHUNKED));
    for (String path : List.of("download", "moved", "relative", "missing", "unavailable")) {
      line.add("\"" + path + "\": " + client.ask("GET", base + "/" + path, Body.NONE));
    }
    line.add("\"refused\": " + client.ask("GET", refusing, Body.NONE));
    System.out.println(line);
  }

  public static void main(String[] arguments) throws Exception {
    List<String> urls = Arrays.asList(arguments).subList(1, arguments.length);
    boolean modern = arguments[0].equals("HttpClient");
    if (urls.get(0).equals("exercise")) exercise(modern ? httpClient() : Clients::askUrlConnection, urls.get(1), urls.get(2));
    else if (modern) withHttpClient(urls);
    else withUrlConnection(urls);
  }
}
