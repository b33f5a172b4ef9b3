/**
 * Attained service: whoever had more than its share is heavy, whatever the load of the machine and however slow answers
 * are.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { createAttainedService } from '../src/sharing/heavy-callers.ts'

const caller = fc.record({
  /** ms of work that one question costs */
  costMs: fc.double({ min: 0.2, max: 20, noNaN: true }),
  /** most that it asks for in a second */
  perSecond: fc.integer({ min: 1, max: 60 })
})

/**
 * A machine with little time, on which whoever is heavy gets its turn only after the others.
 * @param ms of work that it can do in each ms
 * @returns the part of its questions that each caller had answered, and how often it was heavy
 */
function serve (callers: ReadonlyArray<{ costMs: number, perSecond: number }>, speed: number, seconds: number) {
  let nowMs = 0
  const service = createAttainedService(() => nowMs)
  const states = callers.map((it, n) => ({ ...it, name: `caller ${n}`, due: 0, answered: 0, asked: 0, heavy: 0 }))
  let timeLeft = 0
  for (; nowMs < seconds * 1_000; nowMs += 5) {
    timeLeft = Math.min(timeLeft + 5 * speed, 20)
    for (const it of states) {
      it.due = Math.min(it.due + it.perSecond / 200, it.perSecond)
      it.asked += it.perSecond / 200
      service.ask(it.name)
      if (service.isHeavy(it.name)) it.heavy++
    }
    const inOrder = [...states].sort((a, b) => Number(service.isHeavy(a.name)) - Number(service.isHeavy(b.name)))
    for (const it of inOrder) {
      while (it.due >= 1 && timeLeft > 0) {
        it.due--
        it.answered++
        timeLeft -= it.costMs
        service.compute(it.name, it.costMs)
      }
    }
  }
  return states.map(it => ({
    share: it.answered / it.asked, heavyPart: it.heavy / (seconds * 200), rate: it.costMs * it.perSecond / 1_000
  }))
}

test('a caller that asks for less than its share is answered, whatever the others ask for', () => {
  fc.assert(fc.property(fc.array(caller, { minLength: 1, maxLength: 4 }), fc.double({
    min: 0.2, max: 2, noNaN: true
  }), (others, speed) => {
    const fair = speed / (others.length + 1)
    const costMs = 2
    const perSecond = Math.floor(fair / 4 * 1_000 / costMs)
    fc.pre(perSecond >= 4)
    const [modest] = serve([{ costMs, perSecond }, ...others], speed, 10)
    assert.ok(modest.share > 0.9, `${(modest.share * 100).toFixed(0)} % of its questions were answered`)
  }))
})

test('who takes far more than the others is heavy most of the time, and they are not', () => {
  fc.assert(fc.property(fc.integer({
    min: 1, max: 10
  }), fc.integer({ min: 2, max: 20 }), (modestCallers, perSecond) => {
    const modest = Array(modestCallers).fill({ costMs: 2, perSecond })
    const [greedy, ...rest] = serve([{ costMs: 20, perSecond: 1_000 }, ...modest], 1, 10)
    assert.ok(greedy.heavyPart > 0.8, `heavy for ${greedy.heavyPart} of the time`)
    for (const it of rest) assert.ok(it.heavyPart < 0.05, `one of the others was, for ${it.heavyPart}`)
  }))
})

/**
 * A database with one core, which works on all statements at once (processor sharing), on a machine where each takes so
 * many times as long as it would on another one.
 * @param large what each of the statements of one caller costs, in ms; it always has so many under way
 * @returns for which part of the time each was heavy
 */
function share (
  large: { readonly costMs: number, readonly atOnce: number },
  small: { readonly costMs: number, readonly perSecond: number },
  slowness: number
) {
  let nowMs = 0
  const service = createAttainedService(() => nowMs)
  const underWay: Array<{
    readonly caller: 'large' | 'small', leftMs: number, readonly statement: ReturnType<typeof service.begin>
  }> = []
  const begin = (caller: 'large' | 'small', costMs: number) => underWay.push(
    { caller, leftMs: costMs * slowness, statement: service.begin(caller) }
  )
  const heavy = { large: 0, small: 0 }
  let looks = 0
  for (let due = 0; nowMs < 10_000; nowMs++) {
    while (underWay.filter(it => it.caller === 'large').length < large.atOnce) begin('large', large.costMs)
    for (due += small.perSecond / 1_000; due >= 1; due--) begin('small', small.costMs)
    const eachMs = 1 / underWay.length
    for (const it of underWay) it.leftMs -= eachMs
    for (const it of underWay.filter(it => it.leftMs <= 0)) {
      it.statement.end(1)
      underWay.splice(underWay.indexOf(it), 1)
    }
    if (nowMs < 1_000) continue
    looks++
    if (service.isHeavy('large')) heavy.large++
    if (service.isHeavy('small')) heavy.small++
  }
  return { large: heavy.large / looks, small: heavy.small / looks }
}

test('who asks large statements of few rows is heavy on a quick machine and on a slow one, and who asks small ones is not', () => {
  fc.assert(fc.property(
    fc.record({ costMs: fc.integer({ min: 100, max: 2_000 }), atOnce: fc.integer({ min: 1, max: 8 }) }),
    fc.record({ costMs: fc.double({ min: 0.3, max: 2, noNaN: true }), perSecond: fc.integer({ min: 10, max: 60 }) }),
    fc.integer({ min: 1, max: 6 }),
    (large, small, slowness) => {
      fc.pre(small.costMs * small.perSecond * slowness < 500) // else the small ones alone are too much for it
      const heavy = share(large, small, slowness)
      assert.ok(heavy.large > 0.8, `heavy for ${heavy.large} of the time`)
      assert.ok(heavy.small < 0.05, `the other one was, for ${heavy.small}`)
    }), { numRuns: 50 })
})

test('a large statement counts before it has ended, however long it takes', () => {
  let nowMs = 0
  const service = createAttainedService(() => nowMs)
  for (; nowMs < 1_000; nowMs += 10) {
    const small = service.begin('small')
    nowMs += 1
    small.end(1)
  }
  service.begin('large')
  for (const endMs = nowMs + 5_000, fromMs = nowMs; nowMs < endMs; nowMs += 10) {
    const small = service.begin('small')
    nowMs += 1
    small.end(1)
    if (nowMs > fromMs + 100) assert.ok(service.isHeavy('large'), `after ${nowMs - fromMs} ms`)
  }
  assert.ok(service.isHeavy('large'))
  assert.ok(!service.isHeavy('small'))
})

test('a caller that is alone is never heavy, nor one that takes next to nothing', () => {
  let nowMs = 0
  const service = createAttainedService(() => nowMs)
  for (; nowMs < 10_000; nowMs += 10) {
    service.begin('alone').end(100_000)
    assert.ok(!service.isHeavy('alone'))
  }
  for (; nowMs < 20_000; nowMs += 100) {
    service.ask('idle')
    service.compute('little', 1)
    assert.ok(!service.isHeavy('little'))
  }
})

test('a caller that was heavy is so no more when it has asked for nothing for a while', () => {
  let nowMs = 0
  const service = createAttainedService(() => nowMs)
  for (; nowMs < 5_000; nowMs += 10) {
    service.compute('modest', 1)
    service.compute('greedy', 10)
  }
  assert.ok(service.isHeavy('greedy'))
  for (; nowMs < 10_000; nowMs += 10) service.compute('modest', 1)
  service.compute('greedy', 0.5)
  assert.ok(!service.isHeavy('greedy'))
})

test('a caller with most of the work is not heavy beside others that ask for next to nothing', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 10 }), (others, partPerMille) => {
    const fair = 1 / (others + 1)
    const callers = [
      { costMs: 2, perSecond: Math.floor(fair * 350) }, // 0.7 of its share
      ...Array(others).fill({ costMs: 1, perSecond: partPerMille })
    ]
    for (const { heavyPart } of serve(callers, 1, 10)) assert.ok(heavyPart < 0.05, `heavy for ${heavyPart} of the time`)
  }))
})

test('a caller is not heavy while all together take less than 0.8 of a core', () => {
  const part = fc.double({ min: 0.01, max: 0.75, noNaN: true })
  fc.assert(fc.property(fc.array(part, { minLength: 2, maxLength: 6 }), parts => {
    const all = parts.reduce((sum, it) => sum + it)
    const scale = Math.min(1, 0.7 / all)
    let nowMs = 0
    const service = createAttainedService(() => nowMs)
    for (; nowMs < 3_000; nowMs += 5) {
      for (const [n, part] of parts.entries()) service.compute(`${n}`, 5 * part * scale)
      if (nowMs < 500) continue // rates of new callers are rough
      for (const n of parts.keys()) assert.ok(!service.isHeavy(`${n}`), `${parts[n] * scale} of a core at ${nowMs} ms`)
    }
  }))
})

test('while the event loop is busy, a heavy caller stays so until it has less than the others', () => {
  let nowMs = 0
  let isBusy = true
  const service = createAttainedService(() => nowMs, () => isBusy)
  const pass = (ms: number, greedyPart: number) => {
    for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs += 10) {
      service.compute('greedy', 10 * greedyPart)
      service.compute('honest', 3)
      service.isHeavy('honest')
    }
    return { greedy: service.isHeavy('greedy'), honest: service.isHeavy('honest') }
  }
  assert.deepEqual(pass(2_000, 0.7), { greedy: true, honest: false })
  assert.deepEqual(pass(5_000, 0.3), { greedy: true, honest: false }, 'at equal shares')
  assert.deepEqual(pass(5_000, 0.1), { greedy: false, honest: false })
  pass(2_000, 0.7)
  isBusy = false
  assert.deepEqual(pass(5_000, 0.3), { greedy: false, honest: false }, 'there is time left')
})

test('one that waits for more answers than all others together is heavy, but not while it is alone', () => {
  fc.assert(fc.property(fc.nat(60), fc.nat(60), (own, others) => {
    const service = createAttainedService(() => 0)
    for (let n = 0; n < own; n++) service.open('crowd')
    for (let n = 0; n < others; n++) service.open('other')
    assert.equal(service.isHeavy('crowd'), own > 8 && others > 0 && own > others)
    for (let n = 0; n < own; n++) service.close('crowd')
    assert.ok(!service.isHeavy('crowd'))
  }))
})
