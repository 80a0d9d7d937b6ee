package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

var realVolumeChecks = []Check{
	{Name: "a reader sees all of the old files or all of the new", run: atomic},
	{Name: "files have the mode they are given", run: modes},
	{Name: "files may hold a megabyte", run: megabyte},
	{Name: "files in memory are written again after a restart of the sandbox", run: filesAgain},
	{Name: "emptyDir.medium: memory is a tmpfs for all", run: mediumMemory},
	{Name: "emptyDir.sizeLimit: memory is bounded by it", run: sizeLimitMemory},
	{Name: "emptyDir.sizeLimit: usage is what du counts", run: sizeLimitUsage},
	{Name: "emptyDir: a mode that a program gave it stays", run: emptyDirMode},
	{Name: "securityContext.fsGroup: owns emptyDirs", run: fsGroupEmptyDir},
	{Name: "securityContext.fsGroup: may read files", run: fsGroupFiles},
	{Name: "securityContext.fsGroup: owns what a persistent volume holds", run: fsGroupPersistent},
	{Name: "securityContext.fsGroupChangePolicy: OnRootMismatch looks at the root only", run: fsGroupChangePolicy},
	{Name: "persistentVolumeClaim.readOnly: its owner stays", run: fsGroupReadOnly},
	{Name: "hostPath.type: what is there is checked", run: hostPathType},
	{Name: "hostPath.type: what is missing is made or missed", run: hostPathMissing},
	{Name: "hostPath.type: a symbolic link is followed on the host", run: hostPathLink},
	{Name: "persistentVolume.local: the bytes are on the host", run: local},
	{Name: "persistentVolume.local: a path that is missing is named", run: localMissing},
	{Name: "nfs: a server that cannot be mounted is named", run: nfsUnreachable},
	{Name: "volumeMounts.subPath: in every kind of volume", run: subPaths},
	{Name: "volumeMounts.subPath: a symbolic link does not lead out of a volume", run: subPathLink},
	{Name: "volumeMounts.readOnly: in every kind of volume", run: readOnlyEverywhere},
	{Name: "volumeMounts.mountPropagation: mounts go where they are let", run: mountPropagation},
	{Name: "volumeMounts.recursiveReadOnly: is kept or refused", run: recursiveReadOnly},
}

// atomic replaces two long files again and again while a program reads them: every reading of a file must be of one version
// only, and as many as there are by way of ..data must be of the same.
func atomic(f *fixture) {
	v := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", v)
	version := func(n int) string { return strings.Repeat(fmt.Sprintf("version %d\n", n), 20_000) }
	f.write(pod, v, "one", version(0), "sub/two", version(0))
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"})

	// A working directory stays the same version, whatever ..data points at by then.
	const read = `i=0; while [ $i -lt 200 ]; do i=$((i+1))
		cat /config/one | uniq -c | sed 's/version.*/version/'
		(cd -P /config/..data && cat one sub/two 2>/dev/null | uniq -c | awk '{ if ($1 % 20000) print "mixed" }')
	done | sort | uniq -c`
	var out bytes.Buffer
	var code int
	var err error
	var reading sync.WaitGroup
	done := make(chan struct{})
	reading.Go(func() {
		defer close(done)
		code, err = f.Runtime.Exec(f.ctx, id, runtime.ExecOptions{Command: script(read)}, &out, &out)
	})
	writes := 0
	for ended := false; !ended; {
		writes++
		f.write(pod, v, "one", version(writes), "sub/two", version(writes))
		select {
		case <-done:
			ended = true
		default:
		}
	}
	reading.Wait()
	f.must(err)
	if got := strings.Join(strings.Fields(out.String()), " "); code != 0 || got != "200 20000 version" {
		f.Errorf("over %d writes, 200 readings gave %q, exit code %d; want each to be 20000 equal lines", writes, got, code)
	}
}

func modes(f *fixture) {
	v := runtime.Volume{Name: "config", Kind: runtime.Files}
	pod := f.pod("web", v)
	v.Files = []runtime.File{{Path: "secret", Data: []byte("x"), Mode: 0o400}, {Path: "bin/run", Data: []byte("y"), Mode: 0o755}}
	f.must(f.Runtime.WriteVolume(f.ctx, pod, v))
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"})
	got := strings.Fields(f.exec(id, "stat", "-L", "-c", "%a", "/config/secret", "/config/bin/run"))
	if !slices.Equal(got, []string{"400", "755"}) {
		f.Errorf("the modes are %v; want 400 and 755", got)
	}
}

func megabyte(f *fixture) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	v := runtime.Volume{Name: "config", Kind: runtime.Files, Files: []runtime.File{{Path: "large", Data: []byte(large), Mode: 0o644}}}
	pod := f.pod("web", v)
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "config", Path: "/config"})
	f.reads(id, "/config/large", large)
	f.write(pod, v, "large", large[1:])
	f.reads(id, "/config/large", large[1:])
}

func filesAgain(f *fixture) {
	v := runtime.Volume{Name: "secret", Kind: runtime.Files, Memory: true}
	v.Files = []runtime.File{{Path: "key", Data: []byte("hush"), Mode: 0o400}}
	pod := f.pod("web", v)
	f.must(f.Runtime.StopSandbox(f.ctx, pod))
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	f.must(f.Runtime.WriteVolume(f.ctx, pod, v))
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "secret", Path: "/secret"})
	f.reads(id, "/secret/key", "hush")
	f.sees(id, "400 root", "/secret/key")
}

// sees wants mode and owning group of a path, as "2775 2000", seen from inside a container. A link's target counts.
func (f *fixture) sees(id, want, path string) {
	f.Helper()
	got := strings.TrimSpace(f.exec(id, "stat", "-L", "-c", "%a %g", path))
	if got != strings.Replace(want, "root", "0", 1) {
		f.Errorf("%s has mode and group %s; want %s", path, got, want)
	}
}

// open creates a sandbox and starts it.
func (f *fixture) open(config runtime.SandboxConfig) string {
	f.Helper()
	id, err := f.Runtime.CreateSandbox(f.ctx, config)
	f.must(err)
	f.must(f.Runtime.StartSandbox(f.ctx, id))
	return id
}

func mediumMemory(f *fixture) {
	pod := f.pod("web", runtime.Volume{Name: "cache", Kind: runtime.EmptyDir, Memory: true})
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "cache", Path: "/cache"})
	f.sees(id, "1777 root", "/cache")
	if out := f.sh(id, `grep ' /cache ' /proc/mounts`); !strings.HasPrefix(out, "tmpfs ") {
		f.Errorf("the volume in memory is mounted as %q", out)
	}
}

func sizeLimitMemory(f *fixture) {
	v := runtime.Volume{Name: "cache", Kind: runtime.EmptyDir, Memory: true, SizeLimit: 1 << 20}
	id := f.run(f.pod("web", v), "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "cache", Path: "/cache"})
	f.sh(id, `dd if=/dev/zero of=/cache/fits bs=1024 count=1000`)
	if _, stderr, code := f.try(id, script(`dd if=/dev/zero of=/cache/much bs=1024 count=1024`)...); code == 0 || !strings.Contains(stderr, "No space left") {
		f.Errorf("more than the limit was written: exit code %d, %s", code, stderr)
	}
}

func sizeLimitUsage(f *fixture) {
	pod := f.pod("web", runtime.Volume{Name: "tmp", Kind: runtime.EmptyDir, SizeLimit: 1 << 20})
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "tmp", Path: "/scratch"})
	f.sh(id, `cd /scratch; mkdir -p a/b; dd if=/dev/zero of=a/b/file bs=1024 count=300; ln a/b/file a/again; ln -s /bin a/bin
		dd if=/dev/zero of=sparse bs=1 count=1 seek=100000000`)
	words := strings.Fields(f.sh(id, `du -sk /scratch`))
	want, err := strconv.ParseInt(words[0], 10, 64)
	f.must(err)
	got, err := f.Runtime.VolumeUsage(f.ctx, pod, []string{"tmp"})
	f.must(err)
	if got["tmp"] != want<<10 || want > 400 {
		f.Errorf("the usage is %v; du says %d KiB", got, want)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.Runtime.VolumeUsage(ctx, pod, []string{"tmp"}); !errors.Is(err, context.Canceled) {
		f.Errorf("a measurement that was cancelled says %v", err)
	}
}

func emptyDirMode(f *fixture) {
	pod := f.pod("web", runtime.Volume{Name: "tmp", Kind: runtime.EmptyDir})
	at := runtime.Mount{Volume: "tmp", Path: "/scratch"}
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, at)
	f.sees(id, "777 root", "/scratch")
	f.exec(id, "chmod", "700", "/scratch")
	f.must(f.Runtime.StopContainer(f.ctx, id, 0))
	f.restartSandbox(pod)
	id = f.run(pod, "other", Behaviour{Kind: Sleep}, at)
	f.sees(id, "700 root", "/scratch")
}

// grouped is the configuration of a pod with an fsGroup.
func (f *fixture) grouped(name string, policy *corev1.PodFSGroupChangePolicy, volumes ...runtime.Volume) runtime.SandboxConfig {
	config := f.config(name, volumes...)
	config.Pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: new(int64(2000)), FSGroupChangePolicy: policy}
	return config
}

// runAs starts a container of a pod of grouped as user 1000.
func (f *fixture) runAs(config runtime.SandboxConfig, sandbox string, mounts ...runtime.Mount) string {
	f.Helper()
	c := f.containerConfig("main", Behaviour{Kind: Sleep}, mounts...)
	c.PodSecurity = config.Pod.Spec.SecurityContext
	c.SecurityContext = &corev1.SecurityContext{RunAsUser: new(int64(1000)), RunAsGroup: new(int64(1000))}
	return f.start(sandbox, c)
}

func fsGroupEmptyDir(f *fixture) {
	config := f.grouped("web", nil, runtime.Volume{Name: "disk", Kind: runtime.EmptyDir}, runtime.Volume{Name: "memory", Kind: runtime.EmptyDir, Memory: true})
	id := f.runAs(config, f.open(config), runtime.Mount{Volume: "disk", Path: "/disk"}, runtime.Mount{Volume: "memory", Path: "/memory"})
	f.sees(id, "2777 2000", "/disk")
	f.sees(id, "3777 2000", "/memory")
	for _, path := range []string{"/disk/file", "/memory/file"} {
		f.exec(id, "touch", path)
		f.sees(id, "644 2000", path)
	}
}

func fsGroupFiles(f *fixture) {
	files := []runtime.File{{Path: "app/key", Data: []byte("hush"), Mode: 0o400}, {Path: "run", Mode: 0o500}}
	for _, memory := range []bool{false, true} {
		v := runtime.Volume{Name: "secret", Kind: runtime.Files, Memory: memory, Files: files}
		config := f.grouped(fmt.Sprintf("web-%v", memory), nil, v)
		pod := f.open(config)
		id := f.runAs(config, pod, runtime.Mount{Volume: "secret", Path: "/secret"})
		look := func() {
			f.Helper()
			f.reads(id, "/secret/app/key", "hush")
			f.sees(id, "440 2000", "/secret/app/key")
			f.sees(id, "540 2000", "/secret/run")
			f.sees(id, "2755 2000", "/secret/app")
			f.sees(id, "2755 2000", "/secret")
		}
		look()
		v.Files = append(slices.Clone(files), runtime.File{Path: "new", Mode: 0o444})
		f.must(f.Runtime.WriteVolume(f.ctx, pod, v))
		f.reads(id, "/secret/new", "")
		look()
	}
}

// inherited makes a persistent volume in which root left a tree that is for root only.
func (f *fixture) inherited() (v runtime.Volume, at runtime.Mount) {
	f.Helper()
	v, at = f.claim("data"), runtime.Mount{Volume: "data", Path: "/data"}
	pod := f.pod("first", v)
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, at)
	f.sh(id, `cd /data && umask 077 && mkdir dir && touch dir/file script && chmod 700 script && ln -s dir/file link`)
	f.must(f.Runtime.RemoveSandbox(f.ctx, pod))
	return v, at
}

func fsGroupPersistent(f *fixture) {
	v, at := f.inherited()
	config := f.grouped("second", new(corev1.FSGroupChangeAlways), v)
	id := f.runAs(config, f.open(config), at)
	for path, want := range map[string]string{
		"/data": "2775 2000", "/data/dir": "2770 2000", "/data/dir/file": "660 2000", "/data/script": "760 2000",
	} {
		f.sees(id, want, path)
	}
	f.sh(id, `echo hello >/data/link && touch /data/dir/new`)
	f.sees(id, "644 2000", "/data/dir/new")
	if got := f.exec(id, "stat", "-c", "%u", "/data/dir/file"); got != "0\n" {
		f.Errorf("the owner became %s", got)
	}
}

func fsGroupChangePolicy(f *fixture) {
	v, at := f.inherited()
	policy := new(corev1.FSGroupChangeOnRootMismatch)
	config := f.grouped("second", policy, v)
	id := f.runAs(config, f.open(config), at)
	f.sees(id, "660 2000", "/data/dir/file")

	// The root is the group's from now on, so what root leaves later stays root's.
	id = f.run(f.pod("third", v), "main", Behaviour{Kind: Sleep}, at)
	f.sh(id, `umask 077 && touch /data/later && chown 0:0 /data/later`)
	config = f.grouped("fourth", policy, v)
	id = f.runAs(config, f.open(config), at)
	f.sees(id, "600 root", "/data/later")
	config = f.grouped("fifth", nil, v)
	id = f.runAs(config, f.open(config), at)
	f.sees(id, "660 2000", "/data/later")
}

func fsGroupReadOnly(f *fixture) {
	v, at := f.inherited()
	config := f.grouped("second", nil, v)
	config.Pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data", ReadOnly: true},
	}}}
	at.ReadOnly = true
	id := f.runAs(config, f.open(config), at)
	f.sees(id, "755 root", "/data")
	f.sees(id, "700 root", "/data/dir")
}

// host is a directory of the engine's host for this check alone, with a container that sees it as dir. It is removed
// afterwards.
func (f *fixture) host() (dir, id string) {
	f.Helper()
	dir = "/tmp/podyard-" + f.namespace
	pod := f.pod("host", runtime.Volume{Name: "tmp", Kind: runtime.HostPath, HostPath: "/tmp", HostPathType: corev1.HostPathDirectory})
	config := f.containerConfig("main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "tmp", Path: "/tmp"})
	id = f.start(pod, config)
	f.exec(id, "mkdir", dir)
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), patience)
		defer cancel()
		var out bytes.Buffer
		if code, err := f.Runtime.Exec(ctx, id, runtime.ExecOptions{Command: []string{"rm", "-rf", dir}}, &out, &out); err != nil || code != 0 {
			f.Errorf("remove %s: exit code %d, %v: %s", dir, code, err, out.String())
		}
	})
	return dir, id
}

// hosted creates a sandbox with a host path.
func (f *fixture) hosted(name, path string, kind corev1.HostPathType) (string, error) {
	v := runtime.Volume{Name: "host", Kind: runtime.HostPath, HostPath: path, HostPathType: kind}
	return f.Runtime.CreateSandbox(f.ctx, f.config(name, v))
}

func hostPathType(f *fixture) {
	dir, host := f.host()
	// Of busybox, only syslogd makes a socket; it follows a link.
	f.sh(host, `cd "$1" && mkdir directory && touch file && mknod character c 1 3 && mknod block b 7 99 &&
		ln -s "$1/socket" /dev/log && syslogd && timeout 10 sh -c 'until [ -S socket ]; do sleep 0.1; done'`, dir)
	words := map[corev1.HostPathType]string{
		corev1.HostPathDirectory: "directory", corev1.HostPathDirectoryOrCreate: "directory",
		corev1.HostPathFile: "file", corev1.HostPathFileOrCreate: "file", corev1.HostPathSocket: "socket file",
		corev1.HostPathCharDev: "character device", corev1.HostPathBlockDev: "block device",
	}
	for name, kinds := range map[string][]corev1.HostPathType{
		"directory": {corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate},
		"file":      {corev1.HostPathFile, corev1.HostPathFileOrCreate},
		"socket":    {corev1.HostPathSocket}, "character": {corev1.HostPathCharDev}, "block": {corev1.HostPathBlockDev},
	} {
		for kind, word := range words {
			path := dir + "/" + name
			_, err := f.hosted(strings.ToLower(fmt.Sprintf("%s-%s", name, kind)), path, kind)
			want := fmt.Sprintf("hostPath type check failed: %s is not a %s", path, word)
			switch fits := slices.Contains(kinds, kind); {
			case fits && err != nil:
				f.Errorf("a %s as %s: %v", name, kind, err)
			case !fits && (err == nil || !strings.Contains(err.Error(), want)):
				f.Errorf("a %s as %s: %v; want %q", name, kind, err, want)
			}
		}
	}
}

func hostPathMissing(f *fixture) {
	dir, host := f.host()
	for kind, want := range map[corev1.HostPathType]string{
		corev1.HostPathDirectory: "is not a directory", corev1.HostPathFile: "is not a file", corev1.HostPathSocket: "is not a socket file",
		corev1.HostPathCharDev: "is not a character device", corev1.HostPathBlockDev: "is not a block device",
	} {
		_, err := f.hosted(strings.ToLower(string(kind)), dir+"/missing", kind)
		if err == nil || !strings.Contains(err.Error(), "hostPath type check failed: "+dir+"/missing "+want) {
			f.Errorf("%s: %v; want %q", kind, err, want)
		}
	}
	if _, err := f.hosted("nowhere", dir+"/no/file", corev1.HostPathFileOrCreate); err == nil {
		f.Error("a file was made in a directory that is missing")
	}
	for kind, want := range map[corev1.HostPathType]string{
		corev1.HostPathDirectoryOrCreate: "directory 755", corev1.HostPathFileOrCreate: "regular empty file 644",
	} {
		path := dir + "/made/" + string(kind)
		f.sh(host, `mkdir -p "${1%/*}"`, path)
		_, err := f.hosted(strings.ToLower(string(kind)), path, kind)
		f.must(err)
		if got := strings.TrimSpace(f.exec(host, "stat", "-c", "%F %a", path)); got != want {
			f.Errorf("%s made a %s; want a %s", kind, got, want)
		}
	}
	if left := f.exec(host, "ls", dir); left != "made\n" {
		f.Errorf("the checks left %q", left)
	}
	f.sh(host, `echo hello >"$1/made/FileOrCreate"`, dir)
	_, err := f.hosted("again", dir+"/made/FileOrCreate", corev1.HostPathFileOrCreate)
	f.must(err)
	f.reads(host, dir+"/made/FileOrCreate", "hello\n")
	pod, err := f.hosted("unset", dir+"/unset", corev1.HostPathUnset)
	f.must(err)
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "host", Path: "/data"})
	f.sees(host, "755 root", dir+"/unset")
}

func hostPathLink(f *fixture) {
	dir, host := f.host()
	f.sh(host, `cd "$1" && mkdir real && echo hello >real/file && ln -s "$1/real" link`, dir)
	pod, err := f.hosted("web", dir+"/link", corev1.HostPathDirectory)
	f.must(err)
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	id := f.run(pod, "main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "host", Path: "/data"})
	f.reads(id, "/data/file", "hello\n")
}

// onHost makes a claim's bytes be a directory of the host.
func (f *fixture) onHost(name, path string) runtime.Volume {
	v := f.claim(name)
	v.Options = map[string]string{"type": "none", "o": "bind", "device": path}
	return v
}

func local(f *fixture) {
	dir, host := f.host()
	f.sh(host, `mkdir "$1/disk" && umask 077 && echo hello >"$1/disk/file"`, dir)
	config := f.grouped("web", nil, f.onHost("data", dir+"/disk"))
	pod := f.open(config)
	id := f.runAs(config, pod, runtime.Mount{Volume: "data", Path: "/data"})
	f.reads(id, "/data/file", "hello\n")
	f.sh(id, `echo there >/data/new`)
	f.reads(host, dir+"/disk/new", "there\n")
	f.must(f.Runtime.RemoveSandbox(f.ctx, pod))
	f.reads(host, dir+"/disk/file", "hello\n")
}

func localMissing(f *fixture) {
	dir, host := f.host()
	pod := f.sandbox("web", f.onHost("data", dir+"/later"))
	err := f.Runtime.StartSandbox(f.ctx, pod)
	if want := fmt.Sprintf("volume data: path %q does not exist", dir+"/later"); err == nil || !strings.Contains(err.Error(), want) {
		f.Errorf("a path that is missing: %v; want %q", err, want)
	}
	f.exec(host, "mkdir", dir+"/later")
	f.must(f.Runtime.StartSandbox(f.ctx, pod))

	for _, kind := range []corev1.HostPathType{corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate} {
		name := "made" + strings.ToLower(string(kind))
		v := f.onHost(name, dir+"/"+name)
		v.HostPath, v.HostPathType = dir+"/"+name, kind
		f.open(f.grouped(name, nil, v))
		f.sees(host, "755 root", dir+"/"+name)
	}
}

// nfsUnreachable: no NFS server can be counted on, so this is about what is said without one.
func nfsUnreachable(f *fixture) {
	pod := f.sandbox("web", runtime.Volume{Name: "share", Kind: runtime.NFS, Options: map[string]string{
		"type": "nfs", "o": "addr=127.0.0.1,nfsvers=4,port=9,timeo=10,retrans=1,soft", "device": ":/export",
	}})
	err := f.Runtime.StartSandbox(f.ctx, pod)
	if err == nil || !strings.Contains(err.Error(), "volume share: mount :/export") {
		f.Errorf("without a server the sandbox starts with %v; want an error that names the volume and the path", err)
	}
}

// parts is the configuration of a pod whose container mounts a part of each volume.
func (f *fixture) parts(name, part string, volumes ...runtime.Volume) (config runtime.SandboxConfig, mounts []runtime.Mount) {
	config = f.config(name, volumes...)
	c := &config.Pod.Spec.Containers[0]
	for _, v := range volumes {
		m := runtime.Mount{Volume: v.Name, Path: "/part/" + v.Name, SubPath: part}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: m.Volume, MountPath: m.Path, SubPath: m.SubPath})
		mounts = append(mounts, m, runtime.Mount{Volume: v.Name, Path: "/whole/" + v.Name})
	}
	return config, mounts
}

func subPaths(f *fixture) {
	dir, host := f.host()
	f.sh(host, `mkdir -p "$1/a" "$1/b"; echo hello >"$1/a/file"`, dir)
	config, mounts := f.parts("web", "new/dir",
		runtime.Volume{Name: "disk", Kind: runtime.EmptyDir}, runtime.Volume{Name: "memory", Kind: runtime.EmptyDir, Memory: true},
		f.claim("claim"), f.onHost("local", dir+"/b"), runtime.Volume{Name: "host", Kind: runtime.HostPath, HostPath: dir + "/a"})
	id := f.run(f.open(config), "main", Behaviour{Kind: Sleep}, mounts...)
	for _, v := range config.Volumes {
		f.sh(id, `touch "/part/$1/made" && test -e "/whole/$1/new/dir/made"`, v.Name)
	}
	config, mounts = f.parts("file", "file", config.Volumes[len(config.Volumes)-1])
	id = f.run(f.open(config), "main", Behaviour{Kind: Sleep}, mounts...)
	f.reads(id, "/part/host", "hello\n")
}

func subPathLink(f *fixture) {
	dir, host := f.host()
	f.sh(host, `ln -s /etc "$1/link"`, dir)
	disk := runtime.Volume{Name: "disk", Kind: runtime.EmptyDir}
	config, mounts := f.parts("web", "link", disk, runtime.Volume{Name: "host", Kind: runtime.HostPath, HostPath: dir})
	pod := f.open(config)
	maker := f.run(pod, "maker", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "disk", Path: "/disk"})
	f.exec(maker, "ln", "-s", "/etc", "/disk/link")
	for _, m := range mounts {
		if m.SubPath == "" {
			continue
		}
		id := f.create(pod, f.containerConfig("evil-"+m.Volume, Behaviour{Kind: Sleep}, m))
		if err := f.Runtime.StartContainer(f.ctx, id); err == nil {
			f.Errorf("%s: a container started with a symbolic link as subPath; /part holds %s", m.Volume, f.exec(id, "ls", m.Path))
		}
	}
}

func readOnlyEverywhere(f *fixture) {
	dir, _ := f.host()
	volumes := []runtime.Volume{
		{Name: "disk", Kind: runtime.EmptyDir}, {Name: "memory", Kind: runtime.EmptyDir, Memory: true}, f.claim("claim"),
		{Name: "files", Kind: runtime.Files}, {Name: "host", Kind: runtime.HostPath, HostPath: dir},
		{Name: "typed", Kind: runtime.HostPath, HostPath: dir, HostPathType: corev1.HostPathDirectory},
	}
	var mounts []runtime.Mount
	for _, v := range volumes {
		mounts = append(mounts, runtime.Mount{Volume: v.Name, Path: "/" + v.Name, ReadOnly: v.Kind != runtime.Files})
	}
	id := f.run(f.pod("web", volumes...), "main", Behaviour{Kind: Sleep}, mounts...)
	for _, v := range volumes {
		if _, stderr, code := f.try(id, "touch", "/"+v.Name+"/file"); code == 0 || !strings.Contains(stderr, "Read-only file system") {
			f.Errorf("%s: touch exits with %d: %s", v.Name, code, stderr)
		}
	}
}

// maker starts a container that mounts the volume "shared" at /shared, and something else at /shared/sub, where others see
// it that are let. An emptyDir is below the engine's own directory, where mounts are shared; elsewhere that is the host's
// affair.
func (f *fixture) maker(pod string) string {
	f.Helper()
	config := f.containerConfig("maker", Behaviour{Kind: Sleep},
		runtime.Mount{Volume: "shared", Path: "/shared", Propagation: corev1.MountPropagationBidirectional})
	config.SecurityContext = &corev1.SecurityContext{
		Capabilities:    &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}},
		AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
	}
	id := f.start(pod, config)
	f.sh(id, `mkdir /shared/sub && mount -t tmpfs tmpfs /shared/sub && touch /shared/sub/file`)
	return id
}

func mountPropagation(f *fixture) {
	pod := f.pod("web", runtime.Volume{Name: "shared", Kind: runtime.EmptyDir})
	follower := f.run(pod, "follower", Behaviour{Kind: Sleep},
		runtime.Mount{Volume: "shared", Path: "/shared", Propagation: corev1.MountPropagationHostToContainer})
	maker := f.maker(pod)
	f.sh(follower, `test -e /shared/sub/file`)
	f.exec(maker, "umount", "/shared/sub")
	if _, _, code := f.try(follower, "test", "-e", "/shared/sub/file"); code == 0 {
		f.Error("an unmount does not reach the container that follows")
	}
}

func recursiveReadOnly(f *fixture) {
	pod := f.pod("web", runtime.Volume{Name: "shared", Kind: runtime.EmptyDir})
	maker := f.maker(pod)
	defer f.exec(maker, "umount", "/shared/sub") // or the volume cannot be removed
	at := runtime.Mount{Volume: "shared", Path: "/data", ReadOnly: true, Recursive: corev1.RecursiveReadOnlyIfPossible}
	id := f.run(pod, "possible", Behaviour{Kind: Sleep}, at)
	if _, _, code := f.try(id, "touch", "/data/file"); code == 0 {
		f.Error("IfPossible: the volume can be written")
	}
	at.Recursive = corev1.RecursiveReadOnlyEnabled
	id, err := f.Runtime.CreateContainer(f.ctx, pod, f.containerConfig("enabled", Behaviour{Kind: Sleep}, at))
	if errors.Is(err, runtime.ErrInvalid) && strings.Contains(err.Error(), "recursiveReadOnly") {
		return // an engine that cannot says so
	}
	f.must(err)
	f.must(f.Runtime.StartContainer(f.ctx, id))
	for _, path := range []string{"/data/file", "/data/sub/file"} {
		if _, _, code := f.try(id, "touch", path); code == 0 {
			f.Errorf("Enabled: %s can be written", path)
		}
	}
}
