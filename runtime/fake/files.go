package fake

import (
	"path"
	"slices"
	"strings"

	"github.com/podyard/podyard/runtime"
)

// place is where a path of a container leads: a file, by its key, in a volume or in the container itself.
type place struct {
	files    map[string][]byte
	key      string
	readOnly bool
}

// locate follows the longest mount that holds the path.
func (e *Engine) locate(c *container, name string) place {
	if !path.IsAbs(name) {
		name = path.Join("/", c.config.WorkingDir, name)
	}
	name = path.Clean(name)
	found, depth := place{files: c.files, key: strings.TrimPrefix(name, "/")}, -1
	for _, m := range c.config.Mounts {
		rest, inside := under(name, path.Clean(m.Path))
		held := e.mounted(c.sandbox, m.Volume)
		if !inside || held == nil || len(m.Path) <= depth {
			continue
		}
		depth = len(m.Path)
		found = place{held.files, strings.TrimPrefix(path.Join("/", m.SubPath, rest), "/"), m.ReadOnly || held.kind == runtime.Files}
	}
	return found
}

// under returns what is left of name below dir.
func under(name, dir string) (rest string, ok bool) {
	if dir == "/" || name == dir {
		return strings.TrimPrefix(name, dir), true
	}
	return strings.CutPrefix(name, dir+"/")
}

func (e *Engine) mounted(s *sandbox, name string) *volume {
	i := slices.IndexFunc(s.config.Volumes, func(v runtime.Volume) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return e.volumes[volumeName(s.key, s.config.Volumes[i])]
}

// list is the sorted first path elements below the place.
func (p place) list() []string {
	var out []string
	for file := range p.files {
		rest, inside := under("/"+file, path.Join("/", p.key))
		if first, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/"); inside && first != "" {
			out = append(out, first)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
