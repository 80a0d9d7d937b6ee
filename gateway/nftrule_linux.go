package gateway

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers of four bytes each; neighbours hold the parts of a concatenation. Register 0 is the verdict.
const (
	reg0 = unix.NFT_REG32_00
	reg1 = unix.NFT_REG32_01
	reg2 = unix.NFT_REG32_02
)

// Offsets in the IPv4 header, and in those of TCP and UDP.
const (
	offsetSource, offsetDestination         = 12, 16
	offsetSourcePort, offsetDestinationPort = 0, 2
)

func load(base expr.PayloadBase, offset, length, register uint32) expr.Any {
	return &expr.Payload{Base: base, Offset: offset, Len: length, DestRegister: register}
}

func loadIP(offset, register uint32) expr.Any {
	return load(expr.PayloadBaseNetworkHeader, offset, 4, register)
}

func loadPort(offset, register uint32) expr.Any {
	return load(expr.PayloadBaseTransportHeader, offset, 2, register)
}

// seed of the hash. A fixed one sends a client's port to the same backend after a restart of the agent, too.
const seed = 0x706f6479

// admit: ip saddr SOURCE goto chain, for each. What nobody admits stays untranslated, and is refused.
func admit(sources []netip.Prefix, chain string) [][]expr.Any {
	var rules [][]expr.Any
	for _, source := range sources {
		rules = append(rules, append(inPrefix(offsetSource, source, expr.CmpOpEq), gotoChain(chain)))
	}
	return rules
}

// pick returns the rules of a Service's chain: one for each backend with affinity, then the choice by hash.
func (n *nft) pick(conn *nftables.Conn, r rule) [][]expr.Any {
	var rules [][]expr.Any
	if r.affinity > 0 {
		for _, backend := range r.backends {
			rules = append(rules, known(n.clients(r, backend), backendChain(r, backend)))
		}
	}
	return append(rules, n.choose(conn, r))
}

// known: ip saddr @clients goto backend.
func known(clients *nftables.Set, chain string) []expr.Any {
	return []expr.Any{
		loadIP(offsetSource, reg0),
		&expr.Lookup{SourceRegister: reg0, SetName: clients.Name},
		gotoChain(chain),
	}
}

// choose: jhash ip saddr . th sport mod N vmap { 0 : goto backend, … }. Not numgen, which some kernels lack.
func (n *nft) choose(conn *nftables.Conn, r rule) []expr.Any {
	if len(r.backends) == 1 {
		return []expr.Any{gotoChain(backendChain(r, r.backends[0]))}
	}
	elements := make([]nftables.SetElement, len(r.backends))
	for i, backend := range r.backends {
		elements[i] = nftables.SetElement{Key: binaryutil.NativeEndian.PutUint32(uint32(i)),
			VerdictData: gotoChain(backendChain(r, backend))}
	}
	verdicts := &nftables.Set{Table: n.table, Anonymous: true, Constant: true, IsMap: true,
		KeyType: nftables.TypeInteger, DataType: nftables.TypeVerdict}
	_ = conn.AddSet(verdicts, elements) // fails for sets that are not constant only
	return []expr.Any{
		loadIP(offsetSource, reg1),
		loadPort(offsetSourcePort, reg2),
		&expr.Hash{SourceRegister: reg1, DestRegister: reg0, Length: 8, Modulus: uint32(len(r.backends)),
			Seed: seed, Type: expr.HashTypeJenkins},
		&expr.Lookup{SourceRegister: reg0, SetName: verdicts.Name, SetID: verdicts.ID, IsDestRegSet: true},
	}
}

// remember: update @clients { ip saddr timeout … }.
func remember(clients *nftables.Set, timeout time.Duration) []expr.Any {
	return []expr.Any{
		loadIP(offsetSource, reg0),
		&expr.Dynset{SrcRegKey: reg0, SetName: clients.Name, SetID: clients.ID, Timeout: timeout,
			Operation: uint32(unix.NFT_DYNSET_OP_UPDATE)},
	}
}

// translate: dnat to IP:PORT.
func translate(backend netip.AddrPort) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: reg0, Data: backend.Addr().AsSlice()},
		&expr.Immediate{Register: reg1, Data: binary.BigEndian.AppendUint16(nil, backend.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg0, RegProtoMin: reg1},
	}
}
