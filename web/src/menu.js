// The menu of networks: in words, grouped, and at first only a few.

import { element } from "./views.js";

/** Fills `select`; the button `more` adds the networks that are not among the manifest's first. */
export function networkMenu(select, more, networks) {
  const { manifest } = networks;
  const names = Object.keys(manifest.networks);
  const rest = names.filter((name) => !manifest.menu.includes(name));

  function fill(shown) {
    const chosen = select.value || manifest.default;
    const labels = [...new Set(shown.map(groupOf))];
    select.replaceChildren(
      ...labels.map((label) => {
        const members = shown.filter((name) => groupOf(name) === label);
        const options = members.map((name) => new Option(`${networks.info(name).words} (${name})`, name));
        return element("optgroup", { label }, ...options);
      }),
    );
    select.value = chosen;
  }

  const groupOf = (name) => {
    const { group } = networks.info(name);
    return group[0].toUpperCase() + group.slice(1);
  };

  function showAll() {
    fill([...manifest.menu, ...rest]);
    more.hidden = true;
  }

  more.textContent = `${rest.length} more`;
  more.hidden = rest.length === 0;
  more.addEventListener("click", () => {
    showAll();
    select.focus();
  });
  fill(manifest.menu);
  return {
    /** Choose a network, also one that isn't shown yet. */
    choose(name) {
      if (rest.includes(name)) showAll();
      select.value = name;
    },
  };
}
