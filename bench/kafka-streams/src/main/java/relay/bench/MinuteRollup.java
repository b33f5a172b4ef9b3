package relay.bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * Count, sum, minimum and maximum of what one device has sent in one minute, for each zone and type: a chain that is
 * nearly always one long, so that the key can stay the device's and no record has to change its partition.
 */
final class MinuteRollup {
  private final byte[] zone;
  private final byte[] deviceType;
  private long count;
  private double sum;
  private double min = Double.POSITIVE_INFINITY;
  private double max = Double.NEGATIVE_INFINITY;
  private MinuteRollup next;

  private MinuteRollup(byte[] zone, byte[] deviceType) {
    this.zone = zone;
    this.deviceType = deviceType;
  }

  /** Folds an event in; `rollup` is null where it is the first. */
  static MinuteRollup fold(MinuteRollup rollup, Event event) {
    MinuteRollup own = rollup;
    while (own != null && !own.isOf(event)) own = own.next;
    if (own == null) {
      own =
          new MinuteRollup(
              event.zone().getBytes(StandardCharsets.UTF_8), event.deviceType().getBytes(StandardCharsets.UTF_8));
      own.next = rollup;
      rollup = own;
    }
    own.count++;
    own.sum += event.value();
    own.min = Math.min(own.min, event.value());
    own.max = Math.max(own.max, event.value());
    return rollup;
  }

  long count() {
    return count + (next == null ? 0 : next.count());
  }

  private boolean isOf(Event event) {
    return equal(zone, event.zone()) && equal(deviceType, event.deviceType());
  }

  /** Without decoding what is stored: names of this benchmark are ASCII. */
  private static boolean equal(byte[] stored, String name) {
    if (stored.length != name.length()) return false;
    for (int at = 0; at < stored.length; at++) if (stored[at] != name.charAt(at)) return false;
    return true;
  }

  static byte[] encode(MinuteRollup rollup) {
    int size = 0;
    for (MinuteRollup it = rollup; it != null; it = it.next) size += 2 + it.zone.length + it.deviceType.length + 32;
    ByteBuffer bytes = ByteBuffer.allocate(size);
    for (MinuteRollup it = rollup; it != null; it = it.next) {
      bytes.put((byte) it.zone.length).put(it.zone).put((byte) it.deviceType.length).put(it.deviceType);
      bytes.putLong(it.count).putDouble(it.sum).putDouble(it.min).putDouble(it.max);
    }
    return bytes.array();
  }

  static MinuteRollup decode(byte[] encoded) {
    MinuteRollup rollup = null;
    for (ByteBuffer bytes = ByteBuffer.wrap(encoded); bytes.hasRemaining(); ) {
      MinuteRollup it = new MinuteRollup(name(bytes), name(bytes));
      it.count = bytes.getLong();
      it.sum = bytes.getDouble();
      it.min = bytes.getDouble();
      it.max = bytes.getDouble();
      it.next = rollup;
      rollup = it;
    }
    return rollup;
  }

  private static byte[] name(ByteBuffer bytes) {
    byte[] name = new byte[bytes.get() & 0xff];
    bytes.get(name);
    return name;
  }
}
