// Two GETs with one of Java's clients, as an ordinary app makes them: Clients.java NAME URL URL. The
// proxy comes by -Dhttp.proxyHost and -Dhttp.proxyPort.

import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Arrays;
import java.util.List;

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

  public static void main(String[] arguments) throws Exception {
    List<String> urls = Arrays.asList(arguments).subList(1, arguments.length);
    if (arguments[0].equals("HttpClient")) withHttpClient(urls);
    else withUrlConnection(urls);
  }
}
