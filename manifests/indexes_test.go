package manifests

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestIndexesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "0": "0", "1,3-5,7": "1,3-5,7", "1,2": "1,2", "1-2": "1,2", "1,2,3": "1-3", "0-3,4": "0-4",
		"x": "error", "1,": "error", "1,1": "error", "2-1": "error", "1-1": "error", "3,1": "error", "-1": "error", "01": "error", "1-2-3": "error",
	} {
		indexes, err := ParseIndexes(text)
		got := indexes.String()
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q is read as %q (%v), want %q", text, got, err, want)
		}
	}
}

// TestIndexesAreASet compares with a map.
func TestIndexesAreASet(t *testing.T) {
	const limit = 12
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (Indexes, map[int]bool) {
			var s Indexes
			m := map[int]bool{}
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, limit-1), 0, limit).Draw(t, label) {
				s, m[i] = s.With(i), true
			}
			return s, m
		}
		a, in := draw("a")
		b, inB := draw("b")
		if back, err := ParseIndexes(a.String()); err != nil || !slices.Equal(back, a) {
			t.Fatalf("%s is read back as %s, %v", a, back, err)
		}
		below := rapid.IntRange(0, limit).Draw(t, "below")
		n, common, less := 0, 0, 0
		var missing []int
		for i := range limit {
			if a.Has(i) != in[i] || a.Union(b).Has(i) != (in[i] || inB[i]) || a.Below(below).Has(i) != (in[i] && i < below) {
				t.Fatalf("%d of %s, %s, below %d", i, a, b, below)
			}
			switch {
			case in[i] && inB[i]:
				common++
				fallthrough
			case in[i]:
				n++
			case i < below:
				missing = append(missing, i)
			}
			if in[i] && i < below {
				less++
			}
		}
		if a.Total() != n || a.Common(b) != common || a.Below(below).Total() != less {
			t.Fatalf("%s: %d, %d in common with %s, %d below %d", a, a.Total(), a.Common(b), b, a.Below(below).Total(), below)
		}
		few := rapid.IntRange(0, limit).Draw(t, "few")
		if got := a.Missing(few, below); !slices.Equal(got, missing[:min(few, len(missing))]) {
			t.Fatalf("the first %d below %d that are not in %s: %v", few, below, a, got)
		}
	})
}
