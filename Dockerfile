# The daemon as a container. Base images are arguments: any image with the Go toolchain builds it, and any image with git
# and CA certificates runs it.
ARG BUILD_BASE=golang:1.26
ARG RUN_BASE=alpine/git:latest

FROM ${BUILD_BASE} AS build
LABEL podyard.dev/stage=build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /podyard ./cmd/podyard

FROM ${RUN_BASE}
COPY --from=build /podyard /podyard
VOLUME /var/lib/podyard
EXPOSE 8420
ENTRYPOINT ["/podyard"]
CMD ["run", "--listen", "0.0.0.0:8420"]
