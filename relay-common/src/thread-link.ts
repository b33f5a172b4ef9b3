/** Calls between two threads: each end of a port serves functions by name, and calls those of the other end. */
import type { MessagePort, Transferable } from 'node:worker_threads'

import { RelayError, type ErrorCode } from './errors.ts'

/** The functions of one end. Arguments and results are copied (structured clone). */
export type Served<Functions> = { readonly [Name in keyof Functions]: (...args: never[]) => unknown }

export interface ThreadLink<Theirs extends Served<Theirs>> {
  /**
   * Calls a function of the other end, and waits for its result.
   * @throws what the function threw; a RelayError keeps its code. Error: the other end is closed
   */
  call<Name extends keyof Theirs & string> (
    name: Name, args: Parameters<Theirs[Name]>, transfer?: readonly Transferable[]
  ): Promise<Awaited<ReturnType<Theirs[Name]>>>
  /** Calls a function of the other end without waiting for its result. */
  notify<Name extends keyof Theirs & string> (name: Name, ...args: Parameters<Theirs[Name]>): void
}

type Message =
  | { readonly kind: 'call', readonly id?: number, readonly name: string, readonly args: never[] }
  | { readonly kind: 'result', readonly id: number, readonly value: unknown }
  | { readonly kind: 'error', readonly id: number, readonly error: PlainError }

/** An error in a form that can be sent between threads; a clone would lose its class and code. */
export interface PlainError {
  readonly code: string | undefined
  readonly message: string
  readonly stack: string | undefined
  readonly cause: PlainError | undefined
}

/** Serves functions at a port, and returns the functions of its other end. Messages keep their order. */
export function linkThread<Theirs extends Served<Theirs>> (
  port: MessagePort, served: Readonly<Record<string, (...args: never[]) => unknown>>
): ThreadLink<Theirs> {
  const waiting = new Map<number, PromiseWithResolvers<never>>()
  let calls = 0

  const serve = async ({ id, name, args }: Extract<Message, { kind: 'call' }>) => {
    if (id === undefined) return served[name](...args)
    try {
      port.postMessage({ kind: 'result', id, value: await served[name](...args) } satisfies Message)
    } catch (error) {
      port.postMessage({ kind: 'error', id, error: toPlainError(error) } satisfies Message)
    }
  }
  port.on('message', (message: Message) => {
    if (message.kind === 'call') return serve(message)
    const call = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.kind === 'result') call?.resolve(message.value as never)
    else call?.reject(fromPlainError(message.error))
  })
  port.on('close', () => {
    for (const call of waiting.values()) call.reject(new Error('the other thread has ended'))
    waiting.clear()
  })
  return {
    call: (name, args, transfer = []) => {
      const call = Promise.withResolvers<never>()
      waiting.set(++calls, call)
      port.postMessage({ kind: 'call', id: calls, name, args }, transfer)
      return call.promise
    },
    notify: (name, ...args) => port.postMessage({ kind: 'call', name, args })
  }
}

export function toPlainError (error: unknown): PlainError {
  if (!(error instanceof Error)) return { code: undefined, message: String(error), stack: undefined, cause: undefined }
  const { message, stack, cause } = error
  return {
    code: error instanceof RelayError ? error.code : undefined,
    message,
    stack,
    cause: cause === undefined ? undefined : toPlainError(cause)
  }
}

export function fromPlainError ({ code, message, stack, cause }: PlainError): Error {
  const options = { cause: cause && fromPlainError(cause) }
  const error = code ? new RelayError(code as ErrorCode, message, options) : new Error(message, options)
  error.stack = stack // of its origin, not of its arrival
  return error
}
