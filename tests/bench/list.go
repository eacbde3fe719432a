package main

import (
	"strings"
	"time"
)

// list is benchmark (c): docker ps -a with 1, 10 and 100 stopped containers, over docker version,
// which asks for nothing.
func (b *bench) list() error {
	var ids []string
	defer func() {
		if len(ids) > 0 {
			b.must(append([]string{"rm", "-f"}, ids...)...)
		}
	}()
	for _, n := range []int{1, 10, 100} {
		for len(ids) < n {
			id, err := b.must("create", "busybox")
			if err != nil {
				return err
			}
			ids = append(ids, strings.TrimSpace(id))
		}
		var list, version []time.Duration
		for range 7 {
			v, err := b.timed("version")
			if err != nil {
				return err
			}
			p, err := b.timed("ps", "-a", "-q")
			if err != nil {
				return err
			}
			version, list = append(version, v), append(list, p)
		}
		row("(c) docker ps -a with %3d stopped containers: %s; docker version: %s; ratio %.2f", n, seconds(median(list)),
			seconds(median(version)), median(list).Seconds()/median(version).Seconds())
	}
	return nil
}
