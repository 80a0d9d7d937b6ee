package history

import (
	"maps"
	"path/filepath"
	"testing"
)

func TestNotes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	for name, text := range map[string]string{"Job/default/a": "1", "Job/default/b": "2", "Job/default/c": "3"} {
		if err := s.PutNote(name, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutNote("Job/default/b", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.PutNote("Job/default/c", "4"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	notes, err := open(t, path).Notes()
	if want := map[string]string{"Job/default/a": "1", "Job/default/c": "4"}; err != nil || !maps.Equal(notes, want) {
		t.Errorf("notes after a restart: %v, %v; want %v", notes, err, want)
	}
}
