//go:build !linux

package gateway

import "errors"

// Install needs the Linux kernel.
func (p Publication) Install() error { return errors.New("needs nftables, which only Linux has") }
