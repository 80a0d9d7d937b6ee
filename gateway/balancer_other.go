//go:build !linux

package gateway

import (
	"context"
	"net/netip"
)

func addLocalRoute(netip.Prefix) error { return errUnsupported }

func chooseBalancer(context.Context, AgentOptions) (choice, error) { return choice{}, errUnsupported }
