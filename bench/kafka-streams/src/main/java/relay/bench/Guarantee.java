package relay.bench;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/** What becomes of the windows when the process ends: the two ways to run the topology, each as fast as it goes. */
enum Guarantee {
  /** They are gone with it. No changelog, and offsets at least once: the least that Kafka Streams can do. */
  NONE,
  /** They are there, with each event in them once: a changelog, written with the offsets in one transaction. */
  EXACTLY_ONCE;

  static Guarantee named(String name) {
    return valueOf(name.toUpperCase().replace('-', '_'));
  }

  <V> Materialized<String, V, WindowStore<Bytes, byte[]>> store(String name, Duration retention, Duration window) {
    if (this == NONE) {
      return Materialized.<String, V>as(Stores.inMemoryWindowStore(name, retention, window, false))
          .withLoggingDisabled()
          // a cache in front of a store in memory holds nothing back that anyone waits for: it cost 35 % more CPU
          .withCachingDisabled();
    }
    return Materialized.<String, V>as(Stores.inMemoryWindowStore(name, retention, window, false))
        .withLoggingEnabled(Map.of())
        .withCachingEnabled(); // the changelog gets a window once a commit then, not once an event
  }

  void configure(Properties settings) {
    if (this == NONE) return;
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1); // there is one broker
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L * 1024 * 1024); // more than a commit interval fills
    // many windows at once, when a commit empties the cache, and nothing in between
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 1024 * 1024);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L * 1024 * 1024);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), 60_000);
  }
}
