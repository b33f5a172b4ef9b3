import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.List;

import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.AggregatesApi;
import org.openapitools.client.api.DevicesApi;
import org.openapitools.client.api.IngestApi;
import org.openapitools.client.model.AggregateRow;
import org.openapitools.client.model.Aggregates;
import org.openapitools.client.model.DeviceEvent;
import org.openapitools.client.model.EventsProblem;
import org.openapitools.client.model.IngestAnswer;
import org.openapitools.client.model.Problem;

/**
 * What a user does with the generated client: sends events, asks for their average, and reads an error.
 *
 *     java Use &lt;url of the API&gt; &lt;token&gt;
 */
public class Use {
  static final OffsetDateTime START = OffsetDateTime.parse("2024-01-01T00:00:00Z");

  public static void main(String[] args) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(args[0]);
    client.setRequestInterceptor(it -> it.header("Authorization", "Bearer " + args[1]));

    IngestApi ingest = new IngestApi(client);
    IngestAnswer sent = ingest.sendEvents(
        List.of(event(1, "THERMOSTAT"), event(2, "THERMOSTAT"), event(6, "THERMOSTAT")), "java-1");
    check(sent.getAccepted() == 3, sent);

    AggregateRow row = readRow(new AggregatesApi(client));
    check(row.getAvg() == 3, row);
    double p999 = ((Number) row.getAdditionalProperty("p99.9")).doubleValue();
    check(p999 > 5 && p999 <= 6, row);

    try {
      ingest.sendEvents(List.of(event(1, "TOASTER")), null);
      throw new IllegalStateException("the event was taken");
    } catch (ApiException refused) {
      EventsProblem problem = read(refused, EventsProblem.class);
      check(problem.getRefused().get(0).getReason().equals("device-type-unknown"), problem);
    }
    try {
      new DevicesApi(client).getDevice("nobody");
      throw new IllegalStateException("the device was found");
    } catch (ApiException refused) {
      Problem problem = read(refused, Problem.class);
      check(problem.getStatus() == 404 && problem.getCode().equals("RELAY_NO_DATA"), problem);
    }
  }

  static DeviceEvent event(double value, String deviceType) {
    return new DeviceEvent().deviceId("java").deviceType(deviceType).zone("Zone A").value(value)
        .timestamp(START.plusSeconds((long) value));
  }

  /** Once all three readings are in it. */
  static AggregateRow readRow(AggregatesApi aggregates) throws Exception {
    Instant deadline = Instant.now().plusSeconds(60);
    while (true) {
      Aggregates answer = aggregates.getAggregates(List.of("java"), null, null, START.toString(),
          START.plusHours(1).toString(), "range", null, null, null, "count,avg,p99.9", null, null, null, null, null, null);
      if (!answer.getRows().isEmpty() && answer.getRows().get(0).getCount() == 3) return answer.getRows().get(0);
      check(Instant.now().isBefore(deadline), answer);
      Thread.sleep(50);
    }
  }

  static <T> T read(ApiException refused, Class<T> type) throws Exception {
    return ApiClient.createDefaultObjectMapper().readValue(refused.getResponseBody(), type);
  }

  static void check(boolean holds, Object what) {
    if (!holds) throw new IllegalStateException(String.valueOf(what));
  }
}
