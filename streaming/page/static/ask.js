// Questions to the server. Each panel asks one at a time: a newer question replaces an older one that is under way.

export class Asker {
  #under = null;

  /**
   * The answer; null if a newer question has taken its place, or if the server cannot answer now. failed: is then given
   * what the server says.
   */
  async ask(path, values = {}, failed = () => {}) {
    this.#under?.abort();
    const control = new AbortController();
    this.#under = control;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) {
      for (const one of Array.isArray(value) ? value : [value]) {
        if (one !== null && one !== undefined && one !== "") query.append(name, one);
      }
    }
    try {
      const answer = await fetch(`/api/${path}?${query}`, { signal: control.signal });
      if (answer.ok) return await answer.json();
      failed(await answer.text());
      return null;
    } catch {
      return null;
    } finally {
      if (this.#under === control) this.#under = null;
    }
  }
}

/** Calls `work` at once, and once more after the pause if it was called meanwhile. */
export function calmly(work, pause = 1000) {
  let waiting = false;
  let again = false;
  return function run() {
    if (waiting) {
      again = true;
      return;
    }
    waiting = true;
    work();
    setTimeout(() => {
      waiting = false;
      if (again) {
        again = false;
        run();
      }
    }, pause);
  };
}
