// Why a filter does not match, in words.
import type { FilterExplanation } from '../api'

export function Mismatch({ explanation: { path, found, expected, detail } }: { explanation: FilterExplanation }) {
  return (
    <>
      <code>{path}</code> {found === undefined ? 'is missing' : <>is <code>{JSON.stringify(found)}</code></>}, expected <code>{expected.map((value) => JSON.stringify(value)).join(' or ')}</code>. {detail}
    </>
  )
}
