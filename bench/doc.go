// Command bench measures Podyard against the raw Docker engine, in one run and in turn, as ratios: machines differ and are
// noisy, ratios less so.
//
// In comes an engine. Out comes a table: commit to N pods Ready, against creating and starting the same containers (read
// off the pods just made) with the Docker API alone, best of 2, 4 and 8 at once; commit to first engine call; and the idle
// daemon. Read next: start.go for the measurements, raw.go for the raw engine.
package main
