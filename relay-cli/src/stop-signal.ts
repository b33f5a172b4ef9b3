/** A signal that aborts when a person or a supervisor stops the command. @param message what the stop leaves behind */
export function stopSignal (message: string): AbortSignal {
  const stop = new AbortController()
  const onSignal = () => stop.abort(new Error(message))
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  return stop.signal
}
