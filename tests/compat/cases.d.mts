export declare function unique(word?: string): string
export declare function testCase(name: string, body: () => Promise<void>, timeoutMs?: number): Promise<void>
export declare function done(): never
export declare function equal(found: unknown, wanted: unknown, what?: string): void
