/**
 * Settings of a JVM that lives for a test: it does not win back what its optimising compiler takes, 2 of 5 s of CPU.
 */
export const shortLivedJvm = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
