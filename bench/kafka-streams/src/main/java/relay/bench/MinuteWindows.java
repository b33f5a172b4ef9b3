package relay.bench;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyWindowStore;

/**
 * The windows of Relay's processor (a minute of a device, a zone and a type: count, sum, min, max), by Kafka Streams:
 * no database, no repartitioning.
 *
 * <p>Arguments: bootstrap servers, topic, application id, events to wait for, guarantee ({@code none} or {@code
 * exactly-once}). Writes lines {@code name milliseconds} (since the epoch): {@code assigned} when all threads run, or the
 * first event is folded if that is earlier; {@code done} when so many events are folded, and committed where that is
 * promised; then {@code counted} and the sum of all counts in the stores, by which the caller sees that none is missing.
 */
public final class MinuteWindows {
  private static final String STORE = "minutes";
  private static final Duration MINUTE = Duration.ofMinutes(1);
  private static final Duration GRACE = Duration.ofHours(1);

  /** Longer than the benchmark's event time: a window that has left the store could not be counted at the end. */
  private static final Duration RETENTION = Duration.ofDays(40);

  public static void main(String[] args) throws InterruptedException, ExecutionException {
    Thread.setDefaultUncaughtExceptionHandler((thread, error) -> fail(error));
    LongAdder folded = new LongAdder();
    long events = Long.parseLong(args[3]);
    Guarantee guarantee = Guarantee.named(args[4]);
    KafkaStreams streams =
        new KafkaStreams(topology(args[1], guarantee, folded, events), settings(args[0], args[2], guarantee));
    streams.setUncaughtExceptionHandler(MinuteWindows::fail);
    streams.start();

    boolean isAssigned = false;
    try (Admin admin = Admin.create(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]))) {
      for (boolean isDone = false; !isDone; ) {
        Thread.sleep(2);
        isDone = isDone(guarantee, folded.sum(), events, admin, args[2]);
        if (!isAssigned && (folded.sum() > 0 || streams.state() == KafkaStreams.State.RUNNING)) {
          isAssigned = true;
          System.out.println("assigned " + System.currentTimeMillis());
        }
      }
    }
    System.out.println("done " + System.currentTimeMillis());
    // stores answer when all threads run; where events are few, all may be folded before
    while (streams.state() != KafkaStreams.State.RUNNING) Thread.sleep(2);
    System.out.println("counted " + sumOfCounts(streams));
    streams.close(Duration.ofSeconds(10));
  }

  /** Ends the process, which the threads of Kafka Streams would keep alive: an error of any thread is the run's. */
  private static StreamThreadExceptionResponse fail(Throwable error) {
    error.printStackTrace();
    System.exit(1);
    return StreamThreadExceptionResponse.SHUTDOWN_CLIENT; // never reached
  }

  /** Whether all events are folded, and, where that is promised, committed. */
  private static boolean isDone(Guarantee guarantee, long folded, long events, Admin admin, String applicationId)
      throws InterruptedException, ExecutionException {
    if (folded < events) return false;
    if (guarantee == Guarantee.NONE) return true;
    // what is read begins at offset 0 in each partition and has an offset for each event
    return admin.listConsumerGroupOffsets(applicationId).partitionsToOffsetAndMetadata().get().values().stream()
            .mapToLong(OffsetAndMetadata::offset).sum() == events;
  }

  private static Topology topology(String topic, Guarantee guarantee, LongAdder folded, long events) {
    Serde<Event> values = Serdes.serdeFrom((name, it) -> null, (name, bytes) -> Event.decode(bytes));
    Serde<MinuteRollup> rollups = Serdes.serdeFrom(
        (name, it) -> MinuteRollup.encode(it), (name, bytes) -> bytes == null ? null : MinuteRollup.decode(bytes));
    StreamsBuilder builder = new StreamsBuilder();
    KStream<String, Event> stream = builder.stream(topic, Consumed.with(Serdes.String(), values)
        .withTimestampExtractor((record, partitionTime) -> ((Event) record.value()).timestampMs()));
    if (guarantee != Guarantee.NONE) {
      stream = stream.processValues(() -> new LastCommit<>(() -> folded.sum() >= events));
    }
    stream
        .groupByKey() // the device, which the topic is partitioned by
        .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
        .aggregate(() -> null, (device, event, rollup) -> {
          folded.increment();
          return MinuteRollup.fold(rollup, event);
        }, guarantee.<MinuteRollup>store(STORE, RETENTION, MINUTE)
            .withKeySerde(Serdes.String())
            .withValueSerde(rollups));
    return builder.build();
  }

  private static Properties settings(String bootstrapServers, String applicationId, Guarantee guarantee) {
    Properties it = new Properties();
    it.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers);
    it.put(StreamsConfig.APPLICATION_ID_CONFIG, applicationId);
    it.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("java.io.tmpdir"));
    it.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    it.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 5_000); // Relay's longest wait between two flushes
    it.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 50_000);
    it.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    it.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
    it.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 * 1024 * 1024);
    it.put(StreamsConfig.consumerPrefix(ConsumerConfig.RECEIVE_BUFFER_CONFIG), -1); // the system's choice
    guarantee.configure(it);
    return it;
  }

  private static long sumOfCounts(KafkaStreams streams) {
    ReadOnlyWindowStore<String, MinuteRollup> store =
        streams.store(StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.windowStore()));
    long counted = 0;
    try (var windows = store.all()) {
      while (windows.hasNext()) counted += windows.next().value.count();
    }
    return counted;
  }
}
