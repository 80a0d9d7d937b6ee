package fake

import "slices"

type foreignKey struct{ kind, name string }

// AddForeign puts something on the engine that is not ours: a "container", whose ID is its name, a "volume" or a
// "network".
func (e *Engine) AddForeign(kind, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.foreign[foreignKey{kind, name}] = true
}

// Foreign returns what is left of that, sorted, as "volume photos".
func (e *Engine) Foreign() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for key := range e.foreign {
		out = append(out, key.kind+" "+key.name)
	}
	slices.Sort(out)
	return out
}
