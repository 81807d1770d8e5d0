import * as o from 'onnxruntime-node'
import { buildMlp } from '/work/main/test/support/onnx-builder.ts'
const ort=(o as any).default ?? o
const rss=()=>{ (globalThis as any).gc?.(); return process.memoryUsage().rss/2**20 }
let bytes: any = buildMlp([2048,4096,2048]); const mb=bytes.length/2**20
const small = await ort.InferenceSession.create(buildMlp([4,4])); await small.run({x:new ort.Tensor('float32',new Float32Array(4),[1,4])})
const r0=rss(); const s=await ort.InferenceSession.create(bytes,{intraOpNumThreads:1}); const r1=rss()
await s.run({x:new ort.Tensor('float32',new Float32Array(64*2048),[64,2048])}); const r2=rss()
console.log('model MB',mb.toFixed(0),'session +',(r1-r0).toFixed(0),'after run +',(r2-r0).toFixed(0),'base',r0.toFixed(0))
const n=100; const many=[]; const tiny=buildMlp([16,32,1]); const q0=rss(); for(let i=0;i<n;i++) { const m=await ort.InferenceSession.create(tiny,{intraOpNumThreads:1}); await m.run({x:new ort.Tensor('float32',new Float32Array(16),[1,16])}); many.push(m) } console.log('tiny each KB', ((rss()-q0)*1024/n).toFixed(0))
