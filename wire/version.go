package wire

import "runtime/debug"

// Version is the module's, as the build recorded it: what an agent says of itself.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
