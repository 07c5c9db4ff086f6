// Reading from the API: once, again at intervals while the page is visible, and page by page.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { type Page, Problem, get } from './api'

export type Loaded<T> = { value?: T; problem?: Problem; reload: () => void; set: (value: T) => void }

/** Reads `path`, and again every `every` milliseconds if that is given. */
export function useApi<T>(path: string | undefined, every?: number): Loaded<T> {
  const [state, setState] = useState<{ path?: string; value?: T; problem?: Problem }>({})
  const [round, setRound] = useState(0)
  // A layout effect asks at once; another one would first wait until the page is painted.
  useLayoutEffect(() => {
    if (!path) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let isGone = false
    const read = async () => {
      if (!document.hidden) {
        try {
          const value = await get<T>(path, stop.signal)
          if (!stop.signal.aborted) setState({ path, value })
        } catch (error) {
          if (stop.signal.aborted) return
          const problem = error instanceof Problem ? error : new Problem(0, String(error))
          isGone = problem.status === 404 || problem.status === 410
          setState((before) => ({ path, problem, ...(before.path === path && before.value ? { value: before.value } : {}) }))
        }
      }
      if (every && !isGone && !stop.signal.aborted) timer = setTimeout(read, every)
    }
    void read()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [path, every, round])
  const reload = useCallback(() => setRound((before) => before + 1), [])
  const set = useCallback((value: T) => setState((before) => ({ ...before, value })), [])
  const mine = state.path === path ? state : {}
  return { ...(mine.value !== undefined ? { value: mine.value } : {}), ...(mine.problem ? { problem: mine.problem } : {}), reload, set }
}

export type List<T> = {
  items: T[] | undefined
  problem?: Problem | undefined
  hasMore: boolean
  loading: boolean
  /** Whether the latest pages had nothing in them, so that only the reader may ask for older ones. */
  isThin: boolean
  more: () => void
  reload: () => void
}

const LIVE_MS = 3_000
/** The most empty pages that are read at once. */
const PAGES_MAX = 5

/** Reads a list page by page. While `live`, what is new at its top, and what has changed there, is read every few seconds. */
export function useList<T extends { id: string }>(path: string | undefined, live: boolean): List<T> {
  const [items, setItems] = useState<T[]>()
  const [cursor, setCursor] = useState<string | null>()
  const [problem, setProblem] = useState<Problem>()
  const [loading, setLoading] = useState(false)
  const [isThin, setThin] = useState(false)
  const [round, setRound] = useState(0)
  const generation = useRef(0)
  const hasItems = useRef(false)
  // The top and the end of the list are read independently: neither must wait for the other.
  const busy = useRef({ top: false, end: false })

  const read = useCallback(
    async (from: string | null | undefined, merge: (before: T[] | undefined, page: T[], isAll: boolean) => T[]) => {
      const part = from ? 'end' : 'top'
      if (!path || busy.current[part]) return
      busy.current[part] = true
      const mine = generation.current
      try {
        let next: string | null | undefined = from
        let found: T[] = []
        // A page may be empty although others follow.
        const isPeek = !from && hasItems.current
        let left = isPeek ? 1 : PAGES_MAX
        do {
          const page: Page<T> = await get<Page<T>>(next ? `${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(next)}` : path)
          found = found.concat(page.data)
          next = page.next_cursor ?? null
          left -= 1
        } while (found.length === 0 && next && left > 0 && mine === generation.current)
        if (mine !== generation.current) return
        setItems((before) => merge(before, found, !from && !next))
        // The top of a list that was read before says nothing about its end.
        if (!isPeek) setThin(found.length === 0 && Boolean(next))
        hasItems.current = true
        setProblem(undefined)
        setCursor((before) => (from || before === undefined || next === null ? next : before))
      } catch (error) {
        if (mine === generation.current) setProblem(error instanceof Problem ? error : new Problem(0, String(error)))
      } finally {
        if (mine === generation.current) {
          busy.current[part] = false
          setLoading(busy.current.end)
        }
      }
    },
    [path],
  )

  useLayoutEffect(() => {
    generation.current += 1
    busy.current = { top: false, end: false }
    setItems(undefined)
    setCursor(undefined)
    setProblem(undefined)
    setLoading(true)
    setThin(false)
    hasItems.current = false
    void read(null, (_, page) => page)
  }, [path, round, read])

  useEffect(() => {
    if (!live) return
    const timer = setInterval(() => {
      if (document.hidden) return
      void read(null, (before, page, isAll) => {
        if (isAll) return page
        // The page tells all from its last entry on. What is older was read before. Ids are ordered by time.
        const last = page[page.length - 1]?.id
        return last === undefined ? (before ?? page) : page.concat((before ?? []).filter((item) => item.id < last))
      })
    }, LIVE_MS)
    return () => clearInterval(timer)
  }, [live, read])

  const more = useCallback(() => {
    if (!cursor) return
    setLoading(true)
    void read(cursor, (before, page) => {
      const seen = new Set((before ?? []).map((item) => item.id))
      return (before ?? []).concat(page.filter((item) => !seen.has(item.id)))
    })
  }, [cursor, read])
  const reload = useCallback(() => setRound((before) => before + 1), [])
  return { items, problem, hasMore: Boolean(cursor), loading, isThin, more, reload }
}

/** Runs an action, and says whether it runs and what went wrong. */
export function useAction(): { busy: boolean; problem: Problem | undefined; run: (action: () => Promise<void>) => Promise<void>; clear: () => void } {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const run = useCallback(async (action: () => Promise<void>) => {
    setBusy(true)
    setProblem(undefined)
    try {
      await action()
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, String(error)))
    } finally {
      setBusy(false)
    }
  }, [])
  return { busy, problem, run, clear: () => setProblem(undefined) }
}
