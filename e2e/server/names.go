package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lookup prints what Go's resolver finds, sorted, a line each.
func lookup(kind, name string) error {
	found, err := find(context.Background(), net.DefaultResolver, kind, name)
	if err != nil {
		return err
	}
	slices.Sort(found)
	fmt.Println(strings.Join(found, "\n"))
	return nil
}

func find(ctx context.Context, r *net.Resolver, kind, name string) (found []string, err error) {
	switch kind {
	case "host":
		return r.LookupHost(ctx, name)
	case "addr":
		return r.LookupAddr(ctx, name)
	case "txt":
		return r.LookupTXT(ctx, name)
	case "srv":
		_, records, err := r.LookupSRV(ctx, "", "", name)
		for _, record := range records {
			found = append(found, fmt.Sprintf("%s:%d", record.Target, record.Port))
		}
		return found, err
	}
	return nil, errors.New("look up host, addr, txt or srv")
}

// flip serves as podyard hello does, and is ready in two seconds of three; which, depends on the number at the end of the
// pod's name.
func flip(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "{\"version\":%q}\n", name) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if (time.Now().Unix()+int64(number))%3 == 0 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
		}
	})
	return http.ListenAndServe(address, mux)
}
