package reconcile

import "strings"

// expandAll expands a command or its arguments. What has no value stays as it is.
func expandAll(in []string, get func(string) (string, bool)) []string {
	var out []string
	for _, s := range in {
		out = append(out, expand(s, get))
	}
	return out
}

// expand replaces $(NAME); $$(NAME) stays $(NAME), and an unknown name stays as it is. Upstream:
// k8s.io/kubernetes/third_party/forked/golang/expansion. Worked example with A=1: "$(A) $$(A) $(B)" → "1 $(A) $(B)".
func expand(s string, get func(string) (string, bool)) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				out.WriteByte('$')
				continue
			}
			value, ok := get(s[i+2 : i+end])
			if !ok {
				value = s[i : i+end+1]
			}
			out.WriteString(value)
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}
