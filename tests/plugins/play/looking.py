"""Looking at the page in a browser: what overlaps, is cut off or faint, and what the keys reach."""

from __future__ import annotations


def fits(page, size, name):
    """Nothing is wider than the window, lies on something else, is cut off or faint."""
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name
    for what in (OVERLAPS, LABELS, CUT, FAINT):
        assert page.evaluate(what) == [], name


def tabbed(page, count):
    """What the key Tab comes to, by number, and what of it shows no focus."""
    reached, unseen = set(), []
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(2 * count + 20):
        page.keyboard.press("Tab")
        number, text, shown = page.evaluate(FOCUSED)
        if number is None:
            continue
        reached |= set(number)
        if not shown and text not in unseen:
            unseen.append(text)
    return reached, unseen


OVERLAPS = """() => {
  const shown = [...document.querySelectorAll('button, input, textarea')].filter(it => {
    const box = it.getBoundingClientRect(), style = getComputedStyle(it)
    return box.width > 4 && box.height > 4 && style.visibility != 'hidden'
      && style.opacity != '0' && !it.closest('#painting') && it.type != 'file' && it.type != 'range'
      && it.checkVisibility() && !it.querySelector('img') && !it.closest('.icon-button-wrapper')
  })
  const bad = []
  shown.forEach((one, at) => shown.slice(at + 1).forEach(other => {
    if (one.contains(other) || other.contains(one)) return
    const a = one.getBoundingClientRect(), b = other.getBoundingClientRect()
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left)
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
    if (across > 2 && down > 2) bad.push([one.outerHTML.slice(0, 90), other.outerHTML.slice(0, 90)])
  }))
  return bad
}"""
FAINT = """() => {
  const parts = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number)
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(it => {
      it /= 255
      return it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const ground = it => {
    for (; it; it = it.parentElement) {
      const colour = parts(getComputedStyle(it).backgroundColor)
      if (colour.length == 3 || colour[3] > 0.9) return colour
    }
    return [255, 255, 255]
  }
  const bad = []
  for (const it of document.querySelectorAll('label, span, p, h2, h4, button, input, textarea')) {
    const own = [...it.childNodes].some(node => node.nodeType == 3 && node.textContent.trim())
    if (!(own || it.value) || !it.checkVisibility() || it.disabled) continue
    if (it.closest('#painting') || /radio|checkbox|range/.test(it.type)) continue
    if (!/[\\p{L}\\d]/u.test(it.value || it.textContent)) continue
    const a = light(parts(getComputedStyle(it).color)), b = light(ground(it))
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < 4.5) bad.push([ratio.toFixed(2), (it.textContent || it.value).trim().slice(0, 40)])
  }
  return bad
}"""
INTERACTIVE = """() => {
  const kinds = 'a[href], button, input, textarea, select, [tabindex]:not([tabindex="-1"]),'
    + '[role=tab], [role=button], [role=slider], [role=combobox]'
  const found = {}
  let number = 0
  document.querySelectorAll('[data-number]').forEach(it => { delete it.dataset.number })
  for (const it of document.querySelectorAll(kinds)) {
    const box = it.getBoundingClientRect()
    if (!it.checkVisibility({visibilityProperty: true}) || box.width < 2 || box.height < 2) continue
    if (it.disabled || it.type == 'file' || it.closest('[aria-hidden=true], [inert]')) continue
    if (it.querySelector('button, input') && it.tabIndex < 0) continue
    it.dataset.number = number
    let part = it
    while (part && !(part.id && /^[a-z]+(-[a-z0-9]+)*$/.test(part.id))) part = part.parentElement
    found[number++] = `${part ? part.id : ''} ${it.tagName} ${it.type || ''} `
      + (it.getAttribute('aria-label') || it.textContent || it.value || '').trim().slice(0, 30)
  }
  return found
}"""
FOCUSED = """() => {
  const it = document.activeElement
  if (!it || it == document.body) return [null, '', true]
  const style = getComputedStyle(it), box = it.getBoundingClientRect()
  const outline = style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2
  let group = [it]
  if (it.type == 'radio') {  // the arrow keys go through the others
    group = [...it.closest('fieldset, .block').querySelectorAll('input[type=radio]')]
  }
  const around = group.concat([...it.querySelectorAll('[data-number]')].filter(
    inner => it.tagName == 'A' && inner.tagName == 'BUTTON'))
  if (it.parentElement.tagName == 'A') around.push(it.parentElement)
  const numbers = around.map(one => one.dataset.number).filter(one => one !== undefined)
  return [numbers, it.outerHTML.slice(0, 120), outline && box.width > 2 && box.height > 2]
}"""
LABELS = """() => [...document.querySelectorAll('.block > label.float, .icon-button-wrapper')]
  .filter(it => it.checkVisibility() && !it.closest('#painting'))
  .flatMap(it => [...it.closest('.block').querySelectorAll('img, svg[role=img], .wrap .icon-wrap')]
    .filter(other => other.checkVisibility() && !it.contains(other))
    .map(other => [it, other]))
  .filter(([it, other]) => {
    const a = it.getBoundingClientRect(), b = other.getBoundingClientRect()
    return Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1
  })
  .map(([it, other]) => [it.textContent.trim(), other.outerHTML.slice(0, 80)])"""
CUT = """() => {
  const bad = []
  for (const it of document.querySelectorAll('button, label, span, p, h4, td, th, .cm-line')) {
    if (!it.checkVisibility() || !it.textContent.trim() || it.closest('#painting, [role=img]')) {
      continue
    }
    const box = it.getBoundingClientRect()
    if (box.width < 2 || it.closest('.wide, [style*="overflow-x"]')) continue
    if (box.right > innerWidth + 1 || box.left < -1) bad.push(it.textContent.trim().slice(0, 40))
    const turned = it.classList.contains('label-wrap')  // its triangle, which is turned, counts
    if (it.tagName == 'BUTTON' && !turned && it.scrollWidth > it.clientWidth + 1) {
      bad.push(it.textContent.trim().slice(0, 40))
    }
  }
  return bad
}"""
