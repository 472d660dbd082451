// Command forward passes TCP connections from a port of this machine to one inside the cluster's network.
//
// Usage: forward LISTEN=TARGET ..., such as 127.0.0.1:8088=10.212.255.2:30080
package main

import (
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
)

func main() {
	var serving sync.WaitGroup
	for _, pair := range os.Args[1:] {
		listen, target, found := strings.Cut(pair, "=")
		if !found {
			log.Fatalf("not LISTEN=TARGET: %s", pair)
		}
		listener, err := net.Listen("tcp", listen)
		if err != nil {
			log.Fatal(err)
		}
		serving.Go(func() { serve(listener, target) })
	}
	serving.Wait()
}

func serve(listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go pass(client.(*net.TCPConn), target)
	}
}

// pass joins both ways. io.Copy between TCP connections is splice(2): the bytes never reach this process.
func pass(client *net.TCPConn, target string) {
	defer client.Close()
	dialled, err := net.Dial("tcp", target)
	if err != nil {
		log.Print(err)
		return
	}
	server := dialled.(*net.TCPConn)
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { half(server, client) })
	both.Go(func() { half(client, server) })
	both.Wait()
}

func half(to, from *net.TCPConn) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
}
