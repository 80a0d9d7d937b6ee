# Podyard: make test | lint | bench | e2e | sim | newer-engine
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# -count=1: what a test finds on the engine, or in a binary that it builds, must not come from the cache.
GO_TEST     := go test -count=1 -timeout 30m

.PHONY: test e2e lint bench sim newer-engine build engine

# All tests, those against the Docker engine included.
test: engine
	$(GO_TEST) ./...

# The tests that drive the whole system.
e2e: engine
	$(GO_TEST) -v ./e2e/...

# 10,000 random histories, of a mix of kinds or of one CronJob; SEED=1 are always the same. A failure names the file that replays it.
SEED := 0
sim:
	$(GO_TEST) -run '^TestSimulation$$' ./reconcile -rapid.checks=9000 -rapid.seed=$(SEED)
	$(GO_TEST) -run '^TestCronJobSimulation$$' ./reconcile -rapid.checks=1000 -rapid.seed=$(SEED)

# The tests of the engine's driver and of recovery, on a newer engine than the installed one: make newer-engine SUITE=trixie
SUITE := sid
newer-engine:
	PODYARD_ENGINE_PATH=$$(.ci/newer-engine bin/engine-$(SUITE) $(SUITE)) && export PODYARD_ENGINE_PATH && \
	  go run ./e2e/withengine $(GO_TEST) ./runtime/docker/... && \
	  $(GO_TEST) -v -run 'TestEveryPodServesAgain|TestTheDaemonInAContainer' ./e2e

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

bench: engine
	go run ./bench

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/podyard ./cmd/podyard

# Tests against the engine are never skipped: without an engine this fails and says so.
engine:
	@docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || { \
	  echo "no Docker engine answers: start one (or set DOCKER_HOST), then run make again"; exit 1; }
