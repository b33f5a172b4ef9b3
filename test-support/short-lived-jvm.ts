/** Arguments of a JVM for one test: its optimising compiler would cost more than it gains, 2 of 5 s of CPU. */
export const shortLivedJvm = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
