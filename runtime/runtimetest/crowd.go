package runtimetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/podyard/podyard/runtime"
)

var crowdChecks = []Check{
	{Name: "many pods come and go at once", run: crowd},
	{Name: "asked for the same thing at once, all get the same", run: sameThing},
}

const crowdSize = 10

// atOnce runs something for every number and returns what went wrong.
func atOnce(n int, do func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func crowd(f *fixture) {
	configs := make([]runtime.SandboxConfig, crowdSize)
	for i := range configs {
		configs[i] = f.config(fmt.Sprintf("web-%d", i))
	}
	container := f.containerConfig("main", Behaviour{Kind: Sleep})
	f.must(atOnce(crowdSize, func(i int) error { return bringUp(f, configs[i], container) }))

	pods, addresses, names := f.pods(), map[string]bool{}, []string(nil)
	for _, p := range pods {
		addresses[p.IP] = true
		names = append(names, p.Manifest.Name)
		if p.Phase != runtime.Running || len(p.Containers) != 1 || p.Containers[0].State != runtime.Running {
			f.Errorf("pod %s is %s and holds %+v", p.Manifest.Name, p.Phase, p.Containers)
		}
	}
	if len(pods) != crowdSize || len(addresses) != crowdSize || !slices.IsSorted(names) {
		f.Errorf("the pods are %v with %d addresses; want %d of both, sorted by name", names, len(addresses), crowdSize)
	}
	f.must(atOnce(len(pods), func(i int) error { return bringDown(f, pods[i]) }))
	if left := f.pods(); len(left) != 0 {
		f.Errorf("%d pods are left", len(left))
	}
}

func bringUp(f *fixture, config runtime.SandboxConfig, container runtime.ContainerConfig) error {
	pod, err := f.Runtime.CreateSandbox(f.ctx, config)
	if err != nil {
		return err
	}
	if err := f.Runtime.StartSandbox(f.ctx, pod); err != nil {
		return err
	}
	id, err := f.Runtime.CreateContainer(f.ctx, pod, container)
	if err != nil {
		return err
	}
	return f.Runtime.StartContainer(f.ctx, id)
}

func bringDown(f *fixture, p runtime.Pod) error {
	if err := f.Runtime.StopContainer(f.ctx, p.Containers[0].ID, 10*time.Second); err != nil {
		return err
	}
	return f.Runtime.RemoveSandbox(f.ctx, p.ID)
}

func sameThing(f *fixture) {
	const askers = 4
	config, container := f.config("web"), f.containerConfig("main", Behaviour{Kind: Sleep})
	f.must(atOnce(askers, func(int) error { return bringUp(f, config, container) }))
	pods := f.pods()
	if len(pods) != 1 || len(pods[0].Containers) != 1 {
		f.Fatalf("there are %+v; want one pod with one container", pods)
	}
	f.must(atOnce(askers, func(int) error { return f.Runtime.StopContainer(f.ctx, pods[0].Containers[0].ID, 0) }))
	f.must(atOnce(askers, func(int) error { return f.Runtime.RemoveContainer(f.ctx, pods[0].Containers[0].ID) }))
	f.must(atOnce(askers, func(int) error { return f.Runtime.RemoveSandbox(f.ctx, pods[0].ID) }))
}
