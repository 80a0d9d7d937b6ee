// Command withengine runs a command beside an engine of its own:
//
//	go run ./e2e/withengine go test ./runtime/docker/...
//
// The command runs in the engine's namespaces, with DOCKER_HOST set. PODYARD_ENGINE_PATH names folders with another
// version of the engine, PODYARD_ENGINE_FLAGS more flags of dockerd. See package e2e/engine.
package main
