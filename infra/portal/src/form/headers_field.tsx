// Further headers of each request.
import { Icon } from '../icon'
import type { Pair } from './draft'

type Properties = { pairs: Pair[]; fault: string | undefined; change: (pairs: Pair[]) => void }

export function HeadersField({ pairs, fault, change }: Properties) {
  const set = (index: number, pair: Partial<Pair>) => change(pairs.map((before, at) => (at === index ? { ...before, ...pair } : before)))
  return (
    <fieldset aria-describedby={fault ? 'headers-fault headers-hint' : 'headers-hint'}>
      <legend>Headers</legend>
      {pairs.map((pair, index) => (
        <div class="pairs" key={index}>
          <input aria-label={`Name of header ${index + 1}`} placeholder="X-Tenant" autocomplete="off" spellcheck={false} aria-invalid={fault ? true : undefined} value={pair.name} onInput={(event) => set(index, { name: event.currentTarget.value })} />
          <input aria-label={`Value of header ${index + 1}`} autocomplete="off" spellcheck={false} value={pair.value} onInput={(event) => set(index, { value: event.currentTarget.value })} />
          <button type="button" class="quiet icon-only" aria-label={`Remove header ${index + 1}`} onClick={() => change(pairs.filter((_, at) => at !== index))}><Icon name="cross" /></button>
        </div>
      ))}
      <button type="button" onClick={() => change([...pairs, { name: '', value: '' }])}><Icon name="plus" />Add a header</button>
      <p class="hint" id="headers-hint">Each request carries them. A stored value is secret: *** keeps it.</p>
      {fault ? <p class="fault" id="headers-fault">{fault}</p> : null}
    </fieldset>
  )
}
