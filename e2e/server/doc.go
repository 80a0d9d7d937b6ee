// Command server listens in the stories of e2e, where busybox cannot, and prints what it is asked:
//
//	server http PORT           every request is answered with 200
//	server https PORT          the same, with a certificate of its own making
//	server grpc PORT SERVICE   the health of SERVICE is SERVING, that of any other NOT_SERVING
//	server udp PORT            sends back what comes
//	server lookup KIND NAME    prints what the resolver finds: host, addr, txt or srv
//	server flip PORT           answers as podyard hello, and at /readyz not in one second of three
//	server load URL WORKERS    asks podyard hello without end, and counts
package main
