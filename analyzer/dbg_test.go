package analyzer
import ("testing";"context")
func BenchmarkBig(b *testing.B){
 p,err:=LoadPoints("/tmp/big"); if err!=nil {b.Fatal(err)}
 for b.Loop() { if _,err:=Analyze(context.Background(),p,Options{}); err!=nil {b.Fatal(err)} }
}
