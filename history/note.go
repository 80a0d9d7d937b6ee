package history

import "fmt"

// Notes returns every note by its name: what the planner must know and no pod tells, as how a Job ended.
func (s *Store) Notes() (map[string]string, error) {
	notes := map[string]string{}
	err := s.view(func(t *tx) error {
		return t.notes.ForEach(func(name, text []byte) error {
			notes[string(name)] = string(text)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read notes: %w", err)
	}
	return notes, nil
}

// PutNote writes a note for good before it returns. An empty text deletes it.
func (s *Store) PutNote(name, text string) error {
	err := s.update(func(t *tx) error {
		if text == "" {
			return t.notes.Delete([]byte(name))
		}
		return t.notes.Put([]byte(name), []byte(text))
	})
	if err != nil {
		return fmt.Errorf("write note %s: %w", name, err)
	}
	return nil
}
