import type { ComponentChildren } from 'preact'
import { useRef } from 'preact/hooks'

interface TabsProps {
  label: string
  names: readonly string[]
  chosen: string
  choose(name: string): void
  children: ComponentChildren
}

const idOf = (name: string) => name.toLowerCase().replace(/\W+/g, '-')

/** Tabs as WAI-ARIA has them: one is in the order of Tab, arrows go to the others. */
export function Tabs({ label, names, chosen, choose, children }: TabsProps) {
  const list = useRef<HTMLDivElement>(null)
  function onKeyDown(event: KeyboardEvent) {
    const at = names.indexOf(chosen)
    const next = {
      ArrowRight: (at + 1) % names.length,
      ArrowLeft: (at + names.length - 1) % names.length,
      Home: 0,
      End: names.length - 1,
    }[event.key]
    if (next === undefined) return
    event.preventDefault()
    choose(names[next]!)
    const tab = list.current!.children[next] as HTMLElement
    tab.focus()
    tab.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
        {names.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${idOf(name)}`}
            aria-selected={name === chosen}
            aria-controls="panel"
            tabIndex={name === chosen ? 0 : -1}
            onClick={() => choose(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <main>
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${idOf(chosen)}`}>
          {children}
        </div>
      </main>
    </>
  )
}
