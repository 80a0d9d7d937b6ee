package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// readState returns the table in the file, or an empty one if there is no file or no name for it.
func readState(path string) (Table, error) {
	table := Table{Domain: DefaultDomain}
	if path == "" {
		return table, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return table, nil
	}
	if err != nil {
		return table, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(data, &table); err != nil {
		return Table{Domain: DefaultDomain}, fmt.Errorf("read state %s: %w", path, err)
	}
	return table, nil
}

// writeState replaces the file as a whole: a reader, or a start after a crash, sees the old table or the new one.
func writeState(path string, table Table) error {
	if path == "" {
		return nil
	}
	data, err := json.Marshal(table)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := replaceFile(path, data); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// replaceFile writes beside the file, syncs, and renames.
func replaceFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
