package gateway

import "github.com/podyard/podyard/wire"

// readState returns the table in the file, or an empty one if there is no file or no name for it.
func readState(path string) (Table, error) {
	table := Table{Domain: DefaultDomain}
	if err := wire.ReadState(path, &table); err != nil {
		return Table{Domain: DefaultDomain}, err
	}
	return table, nil
}
