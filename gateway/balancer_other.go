//go:build !linux

package gateway

import (
	"context"
	"errors"
	"net/netip"
)

var errUnsupported = errors.New("needs Linux: the gateway runs inside the engine's containers")

func addLocalRoute(netip.Prefix) error { return errUnsupported }

func chooseBalancer(context.Context, AgentOptions) (choice, error) { return choice{}, errUnsupported }
