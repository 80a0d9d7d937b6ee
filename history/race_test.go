//go:build race

package history

// raceEnabled excuses time limits: the race detector makes everything several times slower.
const raceEnabled = true
