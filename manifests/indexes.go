package manifests

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Indexes are completion indexes of a Job, as intervals in increasing order that do not touch.
type Indexes []interval

type interval struct{ first, last int }

// ParseIndexes reads what a Job's status and its successPolicy write as "1,3-5,7".
func ParseIndexes(text string) (Indexes, error) {
	var out Indexes
	if text == "" {
		return nil, nil
	}
	for _, part := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := parseIndex(first)
		if err != nil {
			return nil, err
		}
		b := a
		if isRange {
			if b, err = parseIndex(last); err != nil {
				return nil, err
			}
		}
		n := len(out)
		switch {
		case isRange && b <= a || n > 0 && a <= out[n-1].last:
			return nil, fmt.Errorf("%s is not in increasing order", part)
		case n > 0 && a == out[n-1].last+1:
			out[n-1].last = b
		default:
			out = append(out, interval{a, b})
		}
	}
	return out, nil
}

func parseIndex(text string) (int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || text != strconv.FormatInt(n, 10) {
		return 0, fmt.Errorf("%q is not an index: write them as 1,3-5,7", text)
	}
	return int(n), nil
}

// String is the shortest text that ParseIndexes reads back.
func (s Indexes) String() string {
	parts := make([]string, 0, len(s))
	for _, v := range s {
		switch v.last - v.first {
		case 0:
			parts = append(parts, strconv.Itoa(v.first))
		case 1:
			parts = append(parts, strconv.Itoa(v.first), strconv.Itoa(v.last))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", v.first, v.last))
		}
	}
	return strings.Join(parts, ",")
}

// Total is how many there are.
func (s Indexes) Total() int {
	n := 0
	for _, v := range s {
		n += v.last - v.first + 1
	}
	return n
}

// Has tells whether one is among them.
func (s Indexes) Has(index int) bool {
	i, _ := slices.BinarySearchFunc(s, index, func(v interval, index int) int { return cmp.Compare(v.last, index) })
	return i < len(s) && s[i].first <= index
}

// With are these and one more.
func (s Indexes) With(index int) Indexes { return s.Union(Indexes{{index, index}}) }

// Union are the indexes of both.
func (s Indexes) Union(o Indexes) Indexes {
	all := slices.Concat(s, o)
	slices.SortFunc(all, func(a, b interval) int { return cmp.Compare(a.first, b.first) })
	var out Indexes
	for _, v := range all {
		if n := len(out); n > 0 && v.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, v.last)
		} else {
			out = append(out, v)
		}
	}
	return out
}

// Below are those less than a limit.
func (s Indexes) Below(limit int) Indexes {
	var out Indexes
	for _, v := range s {
		if v.first < limit {
			out = append(out, interval{v.first, min(v.last, limit-1)})
		}
	}
	return out
}

// Common is how many two have in common.
func (s Indexes) Common(o Indexes) int {
	n, i, j := 0, 0, 0
	for i < len(s) && j < len(o) {
		n += max(min(s[i].last, o[j].last)-max(s[i].first, o[j].first)+1, 0)
		if s[i].last < o[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}

// Missing are the first n indexes below a limit that are not among these.
func (s Indexes) Missing(n, limit int) []int {
	var out []int
	candidate := 0
	for _, v := range append(slices.Clone(s), interval{limit, limit}) {
		for ; candidate < min(v.first, limit) && len(out) < n; candidate++ {
			out = append(out, candidate)
		}
		candidate = max(candidate, v.last+1)
	}
	return out
}
