package relay.bench;

import java.time.Duration;
import java.util.function.BooleanSupplier;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;

/**
 * Asks for a commit as soon as all events are folded, from within each task: what is left of the commit interval is not
 * to be held against Kafka Streams, since Relay does not wait for its own at the end of a backlog either.
 */
final class LastCommit<K, V> implements FixedKeyProcessor<K, V, V> {
  private static final Duration LOOK = Duration.ofMillis(10);

  private final BooleanSupplier isAllFolded;
  private FixedKeyProcessorContext<K, V> context;

  LastCommit(BooleanSupplier isAllFolded) {
    this.isAllFolded = isAllFolded;
  }

  @Override
  public void init(FixedKeyProcessorContext<K, V> context) {
    this.context = context;
    context.schedule(LOOK, PunctuationType.WALL_CLOCK_TIME, now -> {
      if (isAllFolded.getAsBoolean()) context.commit();
    });
  }

  @Override
  public void process(FixedKeyRecord<K, V> record) {
    context.forward(record);
  }
}
