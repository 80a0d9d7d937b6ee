package status

import (
	"net/url"
	"slices"
	"strings"
)

// filter narrows objects and pods by the parameters of the page's address. Empty fields let everything through.
type filter struct {
	Namespace, Kind, Health, Text string
	// All lifts the limit on rows.
	All bool
}

func readFilter(query url.Values) filter {
	return filter{
		Namespace: query.Get("namespace"), Kind: query.Get("kind"), Health: query.Get("health"),
		Text: strings.TrimSpace(query.Get("text")), All: query.Get("show") == "all",
	}
}

// Active reports whether anything is narrowed.
func (f filter) Active() bool { return f.Namespace+f.Kind+f.Health+f.Text != "" }

// ShowAll is the address of the same view with every row.
func (f filter) ShowAll() string {
	query := url.Values{"show": {"all"}}
	for name, value := range map[string]string{
		"namespace": f.Namespace, "kind": f.Kind, "health": f.Health, "text": f.Text,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return "/?" + query.Encode() // sorted by name
}

func (f filter) object(o Object) bool {
	if !f.match(o.Ref, o.Health) {
		return false
	}
	texts := []string{o.Ref.String(), o.Message}
	for _, value := range o.Summary {
		texts = append(texts, value)
	}
	return f.text(texts...)
}

func (f filter) pod(p Pod) bool {
	if !f.match(p.Ref(), p.Health) {
		return false
	}
	texts := []string{p.Ref().String(), p.State, p.Message, p.IP}
	if p.Owner != nil {
		texts = append(texts, p.Owner.String())
	}
	for _, c := range p.Containers {
		texts = append(texts, c.Name, c.Image, c.Reason, c.Message)
	}
	return f.text(texts...)
}

func (f filter) match(ref Ref, health Health) bool {
	return (f.Namespace == "" || f.Namespace == ref.Namespace) &&
		(f.Kind == "" || f.Kind == ref.Kind) &&
		(f.Health == "" || f.Health == string(health))
}

func (f filter) text(texts ...string) bool {
	needle := strings.ToLower(f.Text)
	return needle == "" || slices.ContainsFunc(texts, func(s string) bool {
		return strings.Contains(strings.ToLower(s), needle)
	})
}

// choices are what the filter's form offers: what there is, and what is chosen although there is none of it now.
type choices struct {
	Namespaces, Kinds, Healths []string
}

func choicesOf(objects []Object, pods []Pod, chosen filter) choices {
	namespaces, kinds, healths := []string{chosen.Namespace}, []string{chosen.Kind}, []string{chosen.Health}
	for _, o := range objects {
		namespaces, kinds = append(namespaces, o.Namespace), append(kinds, o.Kind)
		healths = append(healths, string(o.Health))
	}
	for _, p := range pods {
		namespaces, kinds = append(namespaces, p.Namespace), append(kinds, "Pod")
		healths = append(healths, string(p.Health))
	}
	return choices{distinct(namespaces), distinct(kinds), distinct(healths)}
}

// distinct sorts and drops what is empty or there twice.
func distinct(list []string) []string {
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list)
}

// keep returns at most limit rows in their order, those that ask for attention before the others, and how many it left.
func keep[T any](rows []T, limit int, attention func(T) bool) (kept []T, left int) {
	if len(rows) <= limit {
		return rows, 0
	}
	room := limit
	for _, row := range rows {
		if attention(row) {
			room--
		}
	}
	ordinary, urgent := max(room, 0), limit
	for _, row := range rows {
		budget := &ordinary
		if attention(row) {
			budget = &urgent
		}
		if *budget > 0 {
			kept, *budget = append(kept, row), *budget-1
		}
	}
	return kept, len(rows) - len(kept)
}
